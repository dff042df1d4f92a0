/** A call that stands in line for a lock: the object keeps its place, the Worker holds the call. */
import type { Context } from "hono";
import type { Lock, LockAcquisition } from "../src/contract/lock.ts";
import { lockTopic } from "../src/protocol/wake-topics.ts";
import type { Vars } from "./app-types.ts";
import { Refused, unwrap } from "./errors.ts";
import { readUntil } from "./long-poll.ts";
import { groupOf } from "./object-stubs.ts";
import { inPassing } from "./route-declaration.ts";

export type LockWaitCall = {
  cluster: string;
  group: string;
  resource: string;
  request: LockAcquisition;
  waitMs: number;
};

/** The lock, or a refusal thrown when the time is over. Its agent was heard when it asked, and again at the end. */
export async function acquireInLine(c: Context<Vars>, call: LockWaitCall): Promise<Lock> {
  const { cluster, group, resource, request, waitMs } = call;
  const object = () => groupOf(c.env, cluster, group);
  const caller = c.req.raw.signal;
  const untilMs = Date.now() + waitMs;
  let position: number | null = null;
  let waitsUntilMs = 0;
  const leave = () => object().leaveLockQueue(resource, request.agent_id, waitsUntilMs);
  // Who has gone does not come back for it: the next in line need not wait for that.
  const giveUp = () => inPassing(c, leave);
  caller.addEventListener("abort", giveUp);

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
  const topic = lockTopic(request.agent_id);
  try {
    const isLock = (answer: Lock | null) => answer !== null;
    // The time may run out while it is put in line: then it asks for the last time.
    const lock = (await readUntil(ask, isLock, { object, topic, limitMs: waitMs, caller })) ?? (await ask());
    if (lock !== null) return lock;
  } finally {
    caller.removeEventListener("abort", giveUp);
    // It may have gone while it was being put in line.
    if (caller.aborted) giveUp();
  }
  throw new Refused({ code: "unavailable", detail: "the caller has gone" });
}
