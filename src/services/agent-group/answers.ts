/**
 * What is said to agents over their sockets. The answers to what an agent asked leave in the order in which it
 * asked, though some take longer than others. In memory alone: whoever asked over a socket that is gone asks again.
 */
import { type Problem, problemItem } from "../../contract/problem.ts";
import { CLOSE_CODES, type ErrorFrame, type ServerFrame } from "../../contract/socket.ts";
import type { Lines } from "../host.ts";

type Place = { frame: ServerFrame | null };

export class Answers {
  readonly #lines: Lines;
  /** By connection, the answers that wait for their own turn or for one before them. */
  readonly #waiting = new Map<number, Place[]>();

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  /** Keeps a place for an answer. @returns what gives it */
  expect(connection: number): (frame: ServerFrame) => void {
    const place: Place = { frame: null };
    const places = this.#waiting.get(connection) ?? [];
    places.push(place);
    this.#waiting.set(connection, places);
    return (frame) => {
      place.frame = frame;
      this.#flush(connection);
    };
  }

  /** A second answer to something: not before those that are still to come. */
  follow(connection: number, frame: ServerFrame): void {
    const places = this.#waiting.get(connection);
    if (places === undefined) this.#lines.send(connection, frame);
    else places.push({ frame });
  }

  /** Something that answers nothing. */
  push(connection: number, frame: ServerFrame): void {
    this.#lines.send(connection, frame);
  }

  /** The incarnation is over. */
  expire(connection: number): void {
    this.#lines.send(connection, { type: "session_expired" });
    this.close(connection, "session_expired");
  }

  close(connection: number, why: keyof typeof CLOSE_CODES): void {
    this.forget(connection);
    this.#lines.close(connection, CLOSE_CODES[why], why);
  }

  forget(connection: number): void {
    this.#waiting.delete(connection);
  }

  #flush(connection: number): void {
    const places = this.#waiting.get(connection);
    if (places === undefined) return;
    let given = 0;
    for (const { frame } of places) {
      if (frame === null) break;
      this.#lines.send(connection, frame);
      given += 1;
    }
    if (given === places.length) this.#waiting.delete(connection);
    else if (given > 0) places.splice(0, given);
  }
}

export function errorFrame(requestId: string | null, problem: Problem): ServerFrame {
  const { type: _, ...item } = problemItem(problem);
  return { ...item, type: "error", request_id: requestId } satisfies ErrorFrame;
}
