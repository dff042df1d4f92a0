/** A long poll: the Worker holds the request of a caller and reads until there is an answer worth giving. */
import * as z from "zod";
import { decimal } from "../../src/contract/common.ts";
import { type WaitableObject, waitOn } from "./object-waiter.ts";

/** Longest wait of a long poll. */
const WAIT_LIMIT_SECONDS = 30;

export const WaitSeconds = decimal(z.number().min(0).max(WAIT_LIMIT_SECONDS).default(0)).meta({
  description: "How long to wait for an answer, in seconds; 0 answers at once.",
});

export type Wait = {
  /** Gives a new stub each time, because a stub that has failed stays broken. */
  object: () => WaitableObject;
  /** The topic that the object wakes when the answer may have changed. */
  topic: string;
  limitMs: number;
  /** Aborted when the client is gone. */
  caller: AbortSignal;
  /** Runs before each read that follows a wait or the opening of the waiter; ends the poll by throwing. */
  beforeReading?: () => Promise<unknown>;
};

/** Reads until the value is worth answering, the time is over, or the caller is gone. @returns the last value read */
export async function longPoll<Value>(
  read: () => Promise<Value>,
  isWorthAnswering: (value: Value) => boolean,
  { object, topic, limitMs, caller, beforeReading }: Wait,
): Promise<Value> {
  let value = await read();
  if (isWorthAnswering(value) || limitMs <= 0) return value;
  const untilMs = Date.now() + limitMs;
  let waiter = await waitOn(object(), topic, caller);
  try {
    // What changed before the waiter was open woke nothing.
    await beforeReading?.();
    value = await read();
    while (!isWorthAnswering(value) && Date.now() < untilMs && !caller.aborted) {
      await waiter.woken(untilMs - Date.now());
      // The object was replaced, and the new one does not know this socket.
      if (waiter.isClosed() && !caller.aborted) waiter = await waitOn(object(), topic, caller);
      await beforeReading?.();
      value = await read();
    }
    return value;
  } finally {
    waiter.close();
  }
}
