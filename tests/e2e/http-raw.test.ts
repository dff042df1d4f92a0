/** Requests that no HTTP library sends: each is answered or ended, and none is an error in the log of the server. */
import { connect } from "node:net";
import { expect, it } from "vitest";
import { apiOfThisFile } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

/** All that the server answers until it ends the connection, which `Connection: close` asks for. */
function answerTo(lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(api.server.port, "127.0.0.1", () => socket.write(lines.join("\r\n")));
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    socket.once("end", () => {
      socket.end();
      resolve(answer);
    });
    socket.once("error", reject);
  });
}

const headers = () => ["Host: test", `Authorization: Bearer ${api.server.adminToken}`, "Connection: close"];
const chunked = (...chunks: string[]) => ["Transfer-Encoding: chunked", "", ...chunks, "0", "", ""];

it("a GET with a body in chunks is answered as one without a body", async () => {
  const { path } = api.cluster();
  const answer = await answerTo([`GET ${path}/tasks HTTP/1.1`, ...headers(), ...chunked("2", "{}")]);

  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(answer).toContain('{"items":[],"next_cursor":null}');
});

it.each(["GET", "POST"])("a %s whose chunks have no size is refused", async (method) => {
  const { path } = api.cluster();
  const answer = await answerTo([`${method} ${path}/tasks HTTP/1.1`, ...headers(), ...chunked("zz", "{}")]);

  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain("the body ends early or has a wrong length or encoding");
});

it("CONNECT reaches no other host, and its connection ends", async () => {
  const answer = await answerTo(["CONNECT example.com:80 HTTP/1.1", "Host: example.com:80", "", ""]);
  await answerTo(["CONNECT /v1/clusters/c/tasks HTTP/1.1", ...headers(), "", ""]);

  expect(answer).not.toContain("500");
});

it("none of these requests is an error in the log", () => {
  expect(api.server.output()).not.toMatch(/exception|"level":"error"|lack a handler/i);
});
