/**
 * Sends frames to agents. Answers leave in the order of their requests, though some take longer than others; pushes go in
 * between. The sender counts the characters that an agent has not shown to have read, because the platform does not
 * report what it still buffers for a slow reader. All of this is in memory alone: an agent whose socket is gone repeats
 * its requests over another.
 */
import { type Problem, problemItem } from "../../../contract/problem.ts";
import { CLOSE_CODES, type ErrorFrame, type ServerFrame } from "../../../contract/socket.ts";
import type { SessionEnd } from "../../../domain/session-end.ts";
import type { Sockets } from "../../host.ts";

/** In UTF-16 units. A connection with more than this unread, as far as is known, is replaced by a new one. */
const UNREAD_LIMIT = 16 * 1024 * 1024;

/** What is known of one connection. Positions and lengths are in UTF-16 units. */
type OutgoingStream = {
  /** All characters sent so far, and the position up to which the agent has surely read. */
  sent: number;
  readThrough: number;
  /** Answers that are not ready, or that wait for an earlier one. */
  pendingAnswers: PendingAnswer[];
};

type PendingAnswer = { frame: ServerFrame | null };

/** Where a frame ends in the characters sent on its connection, and how long it is; in UTF-16 units. */
export type SentFrame = { through: number; characters: number };

export class FrameSender {
  readonly #sockets: Sockets;
  readonly #streams = new Map<number, OutgoingStream>();
  #onForget: (connection: number) => void = () => {};

  constructor(sockets: Sockets) {
    this.#sockets = sockets;
  }

  /** Sets what drops the records that other parts keep of a connection, once the connection has ended. */
  onForget(drop: (connection: number) => void): void {
    this.#onForget = drop;
  }

  /** Reserves the next turn for an answer. @returns a function that gives the answer */
  reserveAnswer(connection: number): (frame: ServerFrame) => void {
    const stream = this.#stream(connection);
    const answer: PendingAnswer = { frame: null };
    stream.pendingAnswers.push(answer);
    return (frame) => {
      answer.frame = frame;
      this.#sendReady(connection, stream);
    };
  }

  /** Sends a frame once the answers reserved so far have left: the second answer to a request of the past. */
  sendAfterAnswers(connection: number, frame: ServerFrame): void {
    const stream = this.#stream(connection);
    stream.pendingAnswers.push({ frame });
    this.#sendReady(connection, stream);
  }

  /** Sends a frame that answers nothing, at once. */
  push(connection: number, frame: ServerFrame): SentFrame {
    return this.#send(connection, this.#stream(connection), frame);
  }

  /** The agent has shown to have read up to this position. */
  markReadThrough(connection: number, through: number): void {
    const stream = this.#streams.get(connection);
    if (stream !== undefined) stream.readThrough = Math.max(stream.readThrough, through);
  }

  /** Whether so much may be unread that the agent should connect anew. */
  exceedsUnreadLimit(connection: number): boolean {
    const stream = this.#streams.get(connection);
    return stream !== undefined && stream.sent - stream.readThrough > UNREAD_LIMIT;
  }

  /** The incarnation has ended: the agent is sent that, and its socket is closed. */
  expire(connection: number, { reason, supersededBy }: SessionEnd): void {
    const by = reason === "superseded" ? { superseded_by: supersededBy } : {};
    this.push(connection, { type: "session_expired", reason, ...by });
    this.close(connection, "session_expired");
  }

  close(connection: number, reason: keyof typeof CLOSE_CODES): void {
    this.forget(connection);
    this.#sockets.close(connection, CLOSE_CODES[reason], reason);
  }

  /** The connection has ended. */
  forget(connection: number): void {
    this.#streams.delete(connection);
    this.#onForget(connection);
  }

  #stream(connection: number): OutgoingStream {
    const known = this.#streams.get(connection);
    if (known !== undefined) return known;
    const stream = { sent: 0, readThrough: 0, pendingAnswers: [] };
    this.#streams.set(connection, stream);
    return stream;
  }

  #sendReady(connection: number, stream: OutgoingStream): void {
    // The connection has ended meanwhile: the answer has no receiver.
    if (this.#streams.get(connection) !== stream) return;
    let count = 0;
    for (const { frame } of stream.pendingAnswers) {
      if (frame === null) break;
      this.#send(connection, stream, frame);
      count += 1;
    }
    stream.pendingAnswers.splice(0, count);
  }

  #send(connection: number, stream: OutgoingStream, frame: ServerFrame): SentFrame {
    const text = JSON.stringify(frame);
    stream.sent += text.length;
    this.#sockets.send(connection, text);
    return { through: stream.sent, characters: text.length };
  }
}

export function errorFrame(requestId: string | null, problem: Problem): ServerFrame {
  const { type: _, ...item } = problemItem(problem);
  return { ...item, type: "error", request_id: requestId } satisfies ErrorFrame;
}
