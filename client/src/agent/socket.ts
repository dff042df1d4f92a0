/**
 * A socket to the coordinator: `ping` as heartbeat, requests each with its answer, and what the server pushes.
 * It breaks when a `ping` is not answered in time, and everything that waits for an answer is told.
 */
import type { Registered } from "../coordinator/coordinator.ts";
import { ConnectionError, errorOf } from "../errors.ts";
import type { ServerFrame } from "../wire.ts";
import type { AskLoad } from "./load-reader.ts";
import type { Session } from "./session.ts";

type Answer = Extract<ServerFrame, { type: "ack" }>;
export type Push = Exclude<ServerFrame, { type: "ack" | "error" }>;
/** What was pushed, and to which incarnation. */
type OnPush = (push: Push, registered: Registered) => void;
type Waiting = {
  resolve(answer: Answer): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
};

const OPEN_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 15_000;
/** For what has arrived while this process stood still. */
const LAST_LOOK_MS = 50;
/** Longest frame that the server takes, in UTF-16 units. */
const FRAME_LIMIT = 262_144;

export class Socket {
  /** Resolves with the reason when it is no more. */
  readonly closed: Promise<string>;
  /** The incarnation that opened it: what is said on it is said to that one, even if there is a later one. */
  readonly registered: Registered;
  readonly #socket: WebSocket;
  readonly #session: Session;
  readonly #waiting = new Map<string, Waiting>();
  #pingedAtMs: number | null = null;
  /** Runs out when the `ping` should have been answered. */
  #patience: ReturnType<typeof setTimeout> | undefined;
  #lastId = 0;

  /** @returns null if it could not be opened */
  static open(session: Session, onPush: OnPush, load: AskLoad): Promise<Socket | null> {
    return new Promise((resolve) => {
      const registered = session.current;
      const askedAtMs = performance.now();
      const raw = new WebSocket(session.socketUrl, ["failover.v1", `bearer.${registered.token}`]);
      const timer = setTimeout(() => raw.close(), OPEN_LIMIT_MS);
      raw.onopen = () => {
        clearTimeout(timer);
        session.touched(askedAtMs);
        resolve(new Socket(raw, session, registered, onPush, load));
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
    registered: Registered,
    onPush: OnPush,
    load: AskLoad,
  ) {
    this.registered = registered;
    this.#socket = raw;
    this.#session = session;
    let end = (_reason: string) => {};
    this.closed = new Promise((resolve) => {
      end = resolve;
    });
    const beat = setInterval(() => this.#beat(load), session.intervalMs);
    const finish = (reason: string) => {
      clearInterval(beat);
      clearTimeout(this.#patience);
      raw.onmessage = null;
      for (const { reject, timer } of this.#waiting.values()) {
        clearTimeout(timer);
        reject(new ConnectionError(`the socket closed: ${reason}`));
      }
      this.#waiting.clear();
      end(reason);
    };
    raw.onclose = ({ code, reason }) => finish(`${code} ${reason}`.trim());
    raw.onmessage = ({ data }) => {
      try {
        this.#hear(String(data), onPush);
      } catch (error) {
        this.close(`the server is not understood: ${error}`);
      }
    };
    this.close = (reason) => {
      raw.close();
      // Whoever does not answer does not close either.
      finish(reason);
    };
    this.#beat(load);
  }

  /** Ends it now, also if the other side is dead. */
  readonly close: (reason: string) => void;

  /** @throws {ConnectionError} no answer, and none to come @throws {FailoverError} */
  request(frame: { type: string } & Record<string, unknown>): Promise<Answer> {
    const request_id = String(++this.#lastId);
    const text = JSON.stringify({ ...frame, request_id });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(request_id);
        reject(new ConnectionError(`${frame.type} was not answered`));
      }, ANSWER_LIMIT_MS);
      this.#waiting.set(request_id, { resolve, reject, timer });
      this.#socket.send(text);
    });
  }

  /** Whether the server takes a frame of that length. */
  fits(frame: unknown): boolean {
    // With room for what a request adds to it.
    return JSON.stringify(frame).length < FRAME_LIMIT - 256;
  }

  #beat(askLoad: AskLoad): void {
    if (this.#pingedAtMs !== null) return;
    this.#pingedAtMs = performance.now();
    this.#socket.send("ping");
    // The sign of life before this one was an interval ago. Of what is left until the timeout, half is for showing
    // life in another way.
    const patienceMs = Math.max(0, this.#session.timeoutMs - this.#session.intervalMs) / 2;
    this.#patience = setTimeout(() => {
      // If this process stood still, the answer may have come and is still to be read.
      this.#patience = setTimeout(() => this.close("no answer to a ping"), LAST_LOOK_MS);
    }, patienceMs);
    const load = askLoad();
    if (load !== undefined) this.request({ type: "heartbeat", load }).catch(() => {});
  }

  #hear(data: string, onPush: OnPush): void {
    if (data === "pong") {
      if (this.#pingedAtMs !== null) this.#session.touched(this.#pingedAtMs);
      this.#pingedAtMs = null;
      clearTimeout(this.#patience);
      return;
    }
    const frame = JSON.parse(data) as ServerFrame;
    if (frame.type !== "ack" && frame.type !== "error") {
      onPush(frame, this.registered);
      return;
    }
    const waiting = this.#waiting.get(frame.request_id ?? "");
    this.#waiting.delete(frame.request_id ?? "");
    clearTimeout(waiting?.timer);
    if (frame.type === "ack") waiting?.resolve(frame);
    else waiting?.reject(errorOf(frame.status, frame));
  }
}
