/**
 * A socket to the coordinator: `ping` as heartbeat, requests with their answers, and frames that the server pushes.
 * When a `ping` is not answered in time, the socket is closed and all pending requests are rejected.
 */
import type { Registered } from "../coordinator/coordinator.ts";
import { ConnectionError, errorOf } from "../errors.ts";
import type { ServerFrame } from "../wire.ts";
import type { ReadLoad } from "./load-reader.ts";
import type { Session } from "./session.ts";

type Answer = Extract<ServerFrame, { type: "ack" }>;
export type Push = Exclude<ServerFrame, { type: "ack" | "error" }>;
/** A pushed frame, and the incarnation that it was sent to. */
type OnPush = (push: Push, registered: Registered) => void;
type PendingRequest = {
  resolve(answer: Answer): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
};

const OPEN_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 15_000;
/** For reading what has arrived while the event loop was blocked. */
const UNREAD_ANSWER_LIMIT_MS = 50;
/** Longest frame that the server takes, in UTF-16 units. */
const FRAME_LIMIT = 262_144;

/** Unique over the sockets of an incarnation, as the protocol wants it. */
let lastRequestId = 0;

export class Socket {
  /** Resolves with the reason when the socket is closed. */
  readonly closed: Promise<string>;
  /** The incarnation that opened the socket. Frames belong to it, even if there is a later one. */
  readonly registered: Registered;
  readonly #socket: WebSocket;
  readonly #session: Session;
  readonly #pending = new Map<string, PendingRequest>();
  #pingedAtMs: number | null = null;
  /** Expires when the `ping` should have been answered. */
  #pingTimer: ReturnType<typeof setTimeout> | undefined;

  /** @returns null if the socket could not be opened */
  static open(session: Session, onPush: OnPush, readLoad: ReadLoad): Promise<Socket | null> {
    return new Promise((resolve) => {
      const registered = session.current;
      const sentAtMs = performance.now();
      const raw = new WebSocket(session.socketUrl, ["failover.v1", `bearer.${registered.token}`]);
      const timer = setTimeout(() => raw.close(), OPEN_LIMIT_MS);
      raw.onopen = () => {
        clearTimeout(timer);
        session.recordContact(sentAtMs);
        resolve(new Socket(raw, session, { registered, onPush, readLoad }));
      };
      raw.onerror = () => {};
      raw.onclose = () => {
        clearTimeout(timer);
        resolve(null);
      };
    });
  }

  private constructor(
    raw: WebSocket,
    session: Session,
    { registered, onPush, readLoad }: { registered: Registered; onPush: OnPush; readLoad: ReadLoad },
  ) {
    this.registered = registered;
    this.#socket = raw;
    this.#session = session;
    let resolveClosed = (_reason: string) => {};
    this.closed = new Promise((resolve) => {
      resolveClosed = resolve;
    });
    const heartbeats = setInterval(() => this.#sendHeartbeat(readLoad), session.intervalMs);
    const finish = (reason: string) => {
      clearInterval(heartbeats);
      clearTimeout(this.#pingTimer);
      raw.onmessage = null;
      for (const { reject, timer } of this.#pending.values()) {
        clearTimeout(timer);
        reject(new ConnectionError(`the socket closed: ${reason}`));
      }
      this.#pending.clear();
      resolveClosed(reason);
    };
    raw.onclose = ({ code, reason }) => finish(`${code} ${reason}`.trim());
    raw.onmessage = ({ data }) => {
      try {
        this.#receive(String(data), onPush);
      } catch (error) {
        this.close(`invalid frame from the server: ${error}`);
      }
    };
    this.close = (reason) => {
      raw.close();
      // The close event may never come from an unreachable server.
      finish(reason);
    };
    this.#sendHeartbeat(readLoad);
  }

  /** Closes the socket at once, even if the server is unreachable. */
  readonly close: (reason: string) => void;

  /** @throws {ConnectionError} no answer @throws {FailoverError} a refusal */
  request(frame: { type: string } & Record<string, unknown>): Promise<Answer> {
    const request_id = String(++lastRequestId);
    const text = JSON.stringify({ ...frame, request_id });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(request_id);
        reject(new ConnectionError(`${frame.type} was not answered`));
      }, ANSWER_LIMIT_MS);
      this.#pending.set(request_id, { resolve, reject, timer });
      this.#socket.send(text);
    });
  }

  /** Whether the server takes a frame of that length. */
  fits(frame: unknown): boolean {
    // The request id needs some room too.
    return JSON.stringify(frame).length < FRAME_LIMIT - 256;
  }

  #sendHeartbeat(readLoad: ReadLoad): void {
    if (this.#pingedAtMs !== null) return;
    this.#pingedAtMs = performance.now();
    this.#socket.send("ping");
    // The last sign of life was one interval ago. Of the time left until the timeout, half remains for a heartbeat
    // over HTTP.
    const limitMs = Math.max(0, this.#session.timeoutMs - this.#session.intervalMs) / 2;
    this.#pingTimer = setTimeout(() => {
      // If the event loop was blocked, the answer may have arrived and not been read yet.
      this.#pingTimer = setTimeout(() => this.close("no answer to a ping"), UNREAD_ANSWER_LIMIT_MS);
    }, limitMs);
    const load = readLoad();
    if (load !== undefined) this.request({ type: "heartbeat", load }).catch(() => {});
  }

  #receive(data: string, onPush: OnPush): void {
    if (data === "pong") {
      if (this.#pingedAtMs !== null) this.#session.recordContact(this.#pingedAtMs);
      this.#pingedAtMs = null;
      clearTimeout(this.#pingTimer);
      return;
    }
    const frame = JSON.parse(data) as ServerFrame;
    if (frame.type !== "ack" && frame.type !== "error") {
      onPush(frame, this.registered);
      return;
    }
    const request = this.#pending.get(frame.request_id ?? "");
    this.#pending.delete(frame.request_id ?? "");
    clearTimeout(request?.timer);
    if (frame.type === "ack") request?.resolve(frame);
    else request?.reject(errorOf(frame.status, frame));
  }
}
