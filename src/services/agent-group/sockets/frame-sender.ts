/**
 * The sockets of agents as the group speaks over them. Answers leave in the order in which they were asked for,
 * though some take longer than others; what is pushed goes in between. How much of it nobody has shown to have read is
 * counted, since the platform tells nobody what it still holds for a reader that is slow or stuck. In memory alone:
 * whoever asked over a socket that is gone asks again.
 */
import { type Problem, problemItem } from "../../../contract/problem.ts";
import { CLOSE_CODES, type ErrorFrame, type ServerFrame } from "../../../contract/socket.ts";
import type { Sockets } from "../../host.ts";

/** In UTF-16 units. A connection with more than this unread, as far as anybody knows, is to be a new one. */
const UNREAD_LIMIT = 16 * 1024 * 1024;

/** What is known of one connection. */
type OutgoingStream = {
  /** Everything said so far, and how much of it was surely read; in UTF-16 units. */
  said: number;
  readThrough: number;
  /** The answers that wait for their own turn or for one before them. */
  waiting: PendingAnswer[];
};

type PendingAnswer = { frame: ServerFrame | null };

/** Where something ends in all that is said on a connection, and how long it is; in UTF-16 units. */
export type SentFrame = { through: number; characters: number };

export class FrameSender {
  readonly #lines: Sockets;
  readonly #wires = new Map<number, OutgoingStream>();
  #onEnd: (connection: number) => void = () => {};

  constructor(lines: Sockets) {
    this.#lines = lines;
  }

  /** Whoever keeps something of a connection forgets it when it is over. */
  onEnd(forget: (connection: number) => void): void {
    this.#onEnd = forget;
  }

  /** Keeps a place for an answer. @returns what gives it */
  expect(connection: number): (frame: ServerFrame) => void {
    const wire = this.#wire(connection);
    const place: PendingAnswer = { frame: null };
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
  push(connection: number, frame: ServerFrame): SentFrame {
    return this.#send(connection, this.#wire(connection), frame);
  }

  /** The agent has shown to have read as far as that. */
  readThrough(connection: number, through: number): void {
    const wire = this.#wires.get(connection);
    if (wire !== undefined) wire.readThrough = Math.max(wire.readThrough, through);
  }

  /** Whether so much may be unread that the agent should connect anew. */
  isWornOut(connection: number): boolean {
    const wire = this.#wires.get(connection);
    return wire !== undefined && wire.said - wire.readThrough > UNREAD_LIMIT;
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

  /** It is over. */
  forget(connection: number): void {
    this.#wires.delete(connection);
    this.#onEnd(connection);
  }

  #wire(connection: number): OutgoingStream {
    const known = this.#wires.get(connection);
    if (known !== undefined) return known;
    const wire = { said: 0, readThrough: 0, waiting: [] };
    this.#wires.set(connection, wire);
    return wire;
  }

  #flush(connection: number, wire: OutgoingStream): void {
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

  #send(connection: number, wire: OutgoingStream, frame: ServerFrame): SentFrame {
    const text = JSON.stringify(frame);
    wire.said += text.length;
    this.#lines.send(connection, text);
    return { through: wire.said, characters: text.length };
  }
}

export function errorFrame(requestId: string | null, problem: Problem): ServerFrame {
  const { type: _, ...item } = problemItem(problem);
  return { ...item, type: "error", request_id: requestId } satisfies ErrorFrame;
}
