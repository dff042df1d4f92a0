/**
 * A web server on loopback that gives prepared answers and keeps the requests. `await using` ends it with all its
 * connections.
 */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Stream } from "./stream.ts";

export type ReceivedRequest = {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** The body as received. */
  readonly body: string;
  readonly atMs: number;
  /** Resolves when the answer was sent completely, or the sender closed the connection. */
  readonly endedAtMs: Promise<number>;
};

/** The handling of one request. */
export type Reply = (response: ServerResponse) => void;

export const answer =
  (status: number, headers: Readonly<Record<string, string>> = {}): Reply =>
  (response) => {
    response.writeHead(status, headers).end();
  };

export const redirectTo = (location: string): Reply => answer(307, { Location: location });

/** Never answers. */
export const hang: Reply = () => {};

/** Closes the connection without an answer. */
export const hangUp: Reply = (response) => {
  response.destroy();
};

/** Begins an answer that has no end. */
export const endless: Reply = (response) => {
  response.writeHead(200);
  Readable.from(pages()).pipe(response);
};

function* pages() {
  for (;;) yield "endless ".repeat(1000);
}

/** Begins an answer and never finishes it. */
export const stall: Reply = (response) => {
  response.writeHead(200).write("to be continued");
};

/** Breaks off in the middle of an answer. */
export const breakOff: Reply = (response) => {
  response.writeHead(200, { "Content-Length": "1000" });
  response.write("to be continued", () => response.destroy());
};

/** Longer than any sender waits. */
const LIMIT_MS = 20_000;

/** @param replies to the first requests, one each; the last one repeats. None: `200` to all */
export async function startHttpReceiver(...replies: readonly Reply[]): Promise<HttpReceiver> {
  const receiver = new HttpReceiver(replies);
  await receiver.listen();
  return receiver;
}

export class HttpReceiver implements AsyncDisposable {
  readonly #server: Server;
  readonly #requests = new Stream<ReceivedRequest>();
  #replies: readonly Reply[];
  #connections = 0;
  #taken = 0;

  constructor(replies: readonly Reply[]) {
    this.#replies = replies;
    this.#server = createServer((request, response) => void this.#take(request, response));
    // Closing a connection that the sender is about to reuse would look like an error of the sender.
    this.#server.keepAliveTimeout = 0;
    this.#server.on("connection", () => this.#connections++);
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  get requests(): readonly ReceivedRequest[] {
    return this.#requests.items;
  }

  /** The number of connections so far, used or not. */
  get connections(): number {
    return this.#connections;
  }

  /** The replies from now on. */
  reply(...replies: readonly Reply[]): void {
    this.#replies = replies;
  }

  /** The request of that number, from 1, now or later. */
  async nth(number: number): Promise<ReceivedRequest> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`waited too long for request ${number}: ${this.requests.length} came`)),
        LIMIT_MS,
      );
    });
    const wanted = this.#requests.first((request) => this.requests[number - 1] === request);
    return Promise.race([wanted, late]).finally(() => clearTimeout(timer));
  }

  /** The first request that this call has not returned yet. */
  next(): Promise<ReceivedRequest> {
    this.#taken += 1;
    return this.nth(this.#taken);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const ended = new Promise<number>((resolve) => response.once("close", () => resolve(Date.now())));
    const atMs = Date.now();
    const { method = "", url = "", headers } = request;
    let body: string;
    try {
      body = await text(request);
    } catch {
      // The sender has closed the connection.
      return;
    }
    const [reply = answer(200), ...others] = this.#replies;
    if (others.length > 0) this.#replies = others;
    this.#requests.add({ method, url, headers, body, atMs, endedAtMs: ended });
    reply(response);
  }
}
