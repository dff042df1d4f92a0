/** A call that waits for a lock: the group keeps its position in the queue, and the Worker holds the call. */
import type { Lock, LockAcquisition } from "../../src/contract/lock.ts";
import { lockTopic } from "../../src/protocol/wake-topics.ts";
import type { Context } from "../context.ts";
import { Refused, unwrap } from "../errors.ts";
import { groupOf, inBackground } from "../object-stubs.ts";
import { longPoll } from "./long-poll.ts";

export type LockWaitCall = {
  cluster: string;
  group: string;
  resource: string;
  request: LockAcquisition;
  waitMs: number;
};

/** @throws Refused when the time is over. Only its start is a sign of life of the agent. */
export async function waitForLock(c: Context, call: LockWaitCall): Promise<Lock> {
  const { cluster, group, resource, request, waitMs } = call;
  const object = () => groupOf(c.env, cluster, group);
  const caller = c.req.raw.signal;
  const untilMs = Date.now() + waitMs;
  let position: number | null = null;
  let waitsUntilMs = 0;
  const leave = () => object().leaveLockQueue(resource, request.agent_id, waitsUntilMs);
  // A caller that is gone does not take the lock: the next waiter must not wait for it.
  const leaveInBackground = () => inBackground(c, leave);
  caller.addEventListener("abort", leaveInBackground);

  const ask = async (): Promise<Lock | null> => {
    if (caller.aborted) return null;
    const leftMs = Math.max(0, untilMs - Date.now());
    if (leftMs === 0) await leave();
    // Without a wait of its own, the last call keeps a position in which a frame of the agent waits.
    const wait_seconds = leftMs === 0 ? undefined : leftMs / 1000;
    const asked = { ...request, wait_seconds, position };
    const answer = unwrap(await object().acquireLock(resource, asked, c.get("principal")));
    if (answer.lock === null) ({ position, waitsUntilMs } = answer);
    return answer.lock;
  };
  const isGranted = (answer: Lock | null) => answer !== null;
  const wait = { object, topic: lockTopic(request.agent_id), limitMs: waitMs, caller };
  try {
    // The time may be over while the call is put into the queue: then it asks a last time.
    const lock = (await longPoll(ask, isGranted, wait)) ?? (await ask());
    if (lock !== null) return lock;
  } finally {
    caller.removeEventListener("abort", leaveInBackground);
    // The caller may have gone while the call was put into the queue.
    if (caller.aborted) leaveInBackground();
  }
  throw new Refused({ code: "unavailable", detail: "the client closed the connection" });
}
