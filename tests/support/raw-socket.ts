/** A WebSocket's opening handshake by hand: any headers, any answer, and an abrupt end. */
import { request } from "node:http";
import type { Duplex } from "node:stream";

export type Handshake = {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Of an answer that is no upgrade. */
  body: string;
  /** The connection, still unread; null if there is none. */
  wire: Duplex | null;
  /** Ends the connection as a crash of the process would. Does nothing when there is none. */
  destroy: () => void;
};

/** A text frame as a client sends it: masked, with a mask that changes nothing (RFC 6455, section 5.2). */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(14);
  header[0] = 0x81;
  header[1] = 0x80 | 127;
  header.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([header, payload]);
}

/** @param url the socket URL in the answer to the registration */
export function shakeHands(url: string, headers: Readonly<Record<string, string>>): Promise<Handshake> {
  const target = url.replace(/^ws/, "http");
  return new Promise((resolve, reject) => {
    const call = request(target, {
      headers: {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": Buffer.from("sixteen bytes...").toString("base64"),
        ...headers,
      },
    });
    call.once("upgrade", ({ statusCode = 0, headers: answered }, socket: Duplex) => {
      socket.on("error", () => {});
      resolve({
        status: statusCode,
        headers: answered,
        body: "",
        wire: socket,
        destroy: () => socket.destroy(),
      });
    });
    call.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.once("end", () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          wire: null,
          destroy: () => {},
        });
      });
    });
    call.once("error", reject);
    call.end();
  });
}
