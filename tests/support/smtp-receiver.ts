/**
 * Mail servers on loopback, correct ones and faulty ones. All listen on a free port; `await using` ends one with all
 * its
 * connections.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import type { TestCertificates } from "./certificates.ts";

export const MAIL_USERNAME = "alerts@example.org";
export const MAIL_PASSWORD = "correct horse battery staple";

export type ReceivedMail = {
  readonly from: string;
  readonly to: readonly string[];
  /** The mail as received: headers, an empty line, the body. */
  readonly raw: string;
  readonly isSecure: boolean;
  /** Null if the client did not sign in. */
  readonly username: string | null;
};

export type ReceiverOptions = {
  readonly certificates: TestCertificates;
  /** `starttls`: plain text at first. `tls`: from the first byte. */
  readonly security: "starttls" | "tls";
  /** Without it no client can sign in, and none has to. */
  readonly hasSignIn?: boolean;
  /** The reply to a recipient by address, such as `550`; all others are accepted. */
  readonly refusals?: Readonly<Record<string, number>>;
  /** The reply to each mail, such as `452`. */
  readonly mailRefusal?: number;
  /** The text of that reply, with all rejections of mails. */
  readonly refusalText?: string;
  /** The step at which the server closes the connection without a reply. */
  readonly closesAt?: "signIn" | "recipient" | "data";
  /** Asks for the mail and does not read it until `resumeReading` is called. */
  readonly stopsReading?: boolean;
  /** Reads the mail, and never acknowledges it. */
  readonly isSilentAfterData?: boolean;
};

export interface MailReceiver extends AsyncDisposable {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** How many clients have come. */
  connections(): number;
  /** How many times a client has sent a password. */
  signIns(): number;
  resumeReading(): void;
  /** Resolves when a mail has arrived completely, acknowledged or not. */
  mailArrived(): Promise<unknown>;
  /** Accepts no more clients, and resolves when none is connected. */
  allGone(): Promise<unknown>;
}

/** A correct SMTP server that rejects what the options name. */
export async function startMailReceiver(options: ReceiverOptions): Promise<MailReceiver> {
  const { certificates, hasSignIn = true, refusals = {} } = options;
  const mails: ReceivedMail[] = [];
  const arrival = Promise.withResolvers<void>();
  const unread = Promise.withResolvers<void>();
  let signIns = 0;
  const settings: SMTPServerOptions = {
    key: certificates.key,
    cert: certificates.cert,
    secure: options.security === "tls",
    authOptional: !hasSignIn,
    disabledCommands: hasSignIn ? [] : ["AUTH"],
    disableReverseLookup: true,
    logger: false,
    onAuth({ username, password }, _session, callback) {
      signIns++;
      if (options.closesAt === "signIn") return closeAll();
      if (username === MAIL_USERNAME && password === MAIL_PASSWORD) callback(null, { user: username });
      // The greeting of a server that sends text for readers of its replies.
      else callback(new Error(`no ${username} with ${password}`));
    },
    onRcptTo({ address }, _session, callback) {
      if (options.closesAt === "recipient") return closeAll();
      const code = refusals[address];
      callback(code === undefined ? null : replyError(code, `not ${address}`));
    },
    onData(stream, session, callback) {
      if (options.closesAt === "data") return closeAll();
      if (options.stopsReading) {
        unread.promise.then(() => stream.resume());
        return;
      }
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString("utf8"),
          isSecure: session.secure,
          username: session.user || null,
        });
        arrival.resolve();
        if (options.isSilentAfterData) return;
        callback(
          options.mailRefusal === undefined
            ? null
            : replyError(options.mailRefusal, options.refusalText ?? "not now"),
        );
      });
    },
  };
  const smtp = new SMTPServer(settings);
  // Some tests are about a client that closes the connection in the middle.
  smtp.on("error", () => {});
  const connections = new Connections(smtp.server);
  // TLS first: it would not notice that the TCP connection below is closed.
  const closeAll = () => {
    for (const { _socket } of smtp.connections as Set<{ _socket: Socket }>) _socket.destroy();
  };
  const end = async () => {
    closeAll();
    await connections.end();
  };
  smtp.listen(0, "127.0.0.1");
  await once(smtp.server, "listening");
  return {
    port: portOf(smtp.server),
    mails,
    connections: () => connections.count,
    signIns: () => signIns,
    resumeReading: () => unread.resolve(),
    mailArrived: () => arrival.promise,
    allGone: () => connections.allGone(),
    [Symbol.asyncDispose]: end,
  };
}

export interface RawReceiver extends AsyncDisposable {
  readonly port: number;
  /** Everything that clients have sent, in the order of arrival. */
  received(): string;
  connected(): Promise<unknown>;
  allGone(): Promise<unknown>;
}

/** How a raw server treats a client. */
export type Conduct = (client: Socket, onLine: (callback: (line: string) => void) => void) => void;

/** A server without a protocol; it keeps everything that clients send. */
export async function startRawReceiver(conduct: Conduct): Promise<RawReceiver> {
  const chunks: Buffer[] = [];
  const connection = Promise.withResolvers<void>();
  const server = createServer((client) => {
    client.on("error", () => {});
    client.on("data", (chunk) => chunks.push(chunk));
    connection.resolve();
    conduct(client, (callback) => {
      let rest = "";
      client.on("data", (chunk) => {
        const lines = (rest + chunk.toString("latin1")).split("\r\n");
        rest = lines.pop() ?? "";
        for (const line of lines) callback(line);
      });
    });
  });
  const connections = new Connections(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: portOf(server),
    received: () => Buffer.concat(chunks).toString("latin1"),
    connected: () => connection.promise,
    allGone: () => connections.allGone(),
    [Symbol.asyncDispose]: () => connections.end(),
  };
}

/** Accepts the connection and sends nothing. */
export const silence: Conduct = () => {};

/** Sends a farewell only. */
export const hangUp: Conduct = (client) => {
  client.end();
};

/** Sends text without ever ending the line. */
export const endless: Conduct = (client) => {
  client.write("x".repeat(1_000_000));
};

/** Greets, then closes the connection. */
export const hangUpAfterGreeting: Conduct = (client) => {
  client.end("220 localhost ESMTP\r\n");
};

/** A complete dialogue in plain text without STARTTLS, as after an attack that removed it. */
export const stripped: Conduct = (client, onLine) => {
  client.write("220 localhost ESMTP\r\n");
  onLine((line) => {
    if (/^EHLO/i.test(line)) client.write("250-localhost\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n");
    else if (/^AUTH/i.test(line)) client.write("235 welcome\r\n");
    else if (/^DATA/i.test(line)) client.write("354 go on\r\n");
    else if (/^STARTTLS/i.test(line)) client.write("502 command not implemented\r\n");
    else client.write("250 yes\r\n");
  });
};

/** Offers STARTTLS and answers it with `answer`; then it does nothing more, or closes the connection. */
export const answerToStartTls =
  (answer: string, closes = false): Conduct =>
  (client, onLine) => {
    client.write("220 localhost ESMTP\r\n");
    onLine((line) => {
      if (/^EHLO/i.test(line)) client.write("250-localhost\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n");
      if (line !== "STARTTLS") return;
      client.write(answer);
      if (closes) client.end();
    });
  };

class Connections {
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  #gone: Promise<unknown> | null = null;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (client) => this.#clients.add(client));
  }

  /** Since the start. */
  get count(): number {
    return this.#clients.size;
  }

  /** Resolves by the server's event, after which it accepts no client: a client's own listeners are lost when TLS starts. */
  allGone(): Promise<unknown> {
    if (this.#gone === null) {
      this.#gone = once(this.#server, "close");
      this.#server.close();
    }
    return this.#gone;
  }

  async end(): Promise<void> {
    const gone = this.allGone();
    for (const client of this.#clients) client.destroy();
    await gone;
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const replyError = (responseCode: number, message: string) =>
  Object.assign(new Error(message), { responseCode });
