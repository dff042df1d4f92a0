/**
 * What is said to agents over their sockets. The answers to what an agent asked leave in the order in which it
 * asked, though some take longer than others. In memory alone: whoever asked over a socket that is gone asks again.
 */
import { type Problem, problemItem } from "../../contract/problem.ts";
import { type AgentFrame, CLOSE_CODES, type ErrorFrame, type ServerFrame } from "../../contract/socket.ts";
import type { Lines } from "../host.ts";
import { Backlog } from "./backlog.ts";

/** What is known of one connection. */
type Wire = {
  backlog: Backlog;
  /** The answers that wait for their own turn or for one before them. */
  waiting: Place[];
};

type Place = { frame: ServerFrame | null };

/** Told what becomes of a connection. */
export type Listeners = {
  /** The agent has read more. */
  read(connection: number): void;
  /** It is over. */
  ended(connection: number): void;
};

export class Answers {
  readonly #lines: Lines;
  readonly #wires = new Map<number, Wire>();
  #listeners: Listeners = { read() {}, ended() {} };

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  listen(listeners: Listeners): void {
    this.#listeners = listeners;
  }

  /** Keeps a place for an answer. @returns what gives it */
  expect(connection: number): (frame: ServerFrame) => void {
    const wire = this.#wire(connection);
    const place: Place = { frame: null };
    wire.waiting.push(place);
    return (frame) => {
      place.frame = frame;
      this.#flush(connection, wire);
    };
  }

  /** A second answer to something: not before those that are still to come. */
  follow(connection: number, frame: ServerFrame): void {
    const wire = this.#wire(connection);
    wire.waiting.push({ frame });
    this.#flush(connection, wire);
  }

  /** Something that answers nothing. */
  push(connection: number, frame: ServerFrame): void {
    this.#send(connection, this.#wire(connection), frame);
  }

  /** Whether something may be pushed, or is to wait until more was read. */
  hasRoomFor(connection: number, kind: "task" | "message"): boolean {
    return this.#wires.get(connection)?.backlog.hasRoomFor(kind) ?? true;
  }

  /** A frame came: it may show what was read. */
  heard(connection: number, frame: AgentFrame): void {
    if (this.#wires.get(connection)?.backlog.heard(frame)) this.#listeners.read(connection);
  }

  /** Whether so much is unread that nothing more may be said. */
  isStuck(connection: number): boolean {
    return this.#wires.get(connection)?.backlog.isStuck ?? false;
  }

  /** The incarnation is over. */
  expire(connection: number): void {
    this.push(connection, { type: "session_expired" });
    this.close(connection, "session_expired");
  }

  close(connection: number, why: keyof typeof CLOSE_CODES): void {
    this.forget(connection);
    this.#lines.close(connection, CLOSE_CODES[why], why);
  }

  /** The connection is over. */
  forget(connection: number): void {
    this.#wires.delete(connection);
    this.#listeners.ended(connection);
  }

  #wire(connection: number): Wire {
    const known = this.#wires.get(connection);
    if (known !== undefined) return known;
    const wire = { backlog: new Backlog(), waiting: [] };
    this.#wires.set(connection, wire);
    return wire;
  }

  #flush(connection: number, wire: Wire): void {
    // What was asked over a connection that is gone is answered to nobody.
    if (this.#wires.get(connection) !== wire) return;
    let given = 0;
    for (const { frame } of wire.waiting) {
      if (frame === null) break;
      this.#send(connection, wire, frame);
      given += 1;
    }
    wire.waiting.splice(0, given);
  }

  #send(connection: number, wire: Wire, frame: ServerFrame): void {
    const text = JSON.stringify(frame);
    wire.backlog.said(frame, text.length);
    this.#lines.send(connection, text);
  }
}

export function errorFrame(requestId: string | null, problem: Problem): ServerFrame {
  const { type: _, ...item } = problemItem(problem);
  return { ...item, type: "error", request_id: requestId } satisfies ErrorFrame;
}
