/**
 * Who gets a lock that is free: the first in its line who may still have it. Whoever frees a lock calls `handOn`
 * in the same transaction, so that a free lock has a line only while its delay lasts.
 */

import { instant } from "../../../contract/instant.ts";
import { type Outcome, type Problem, refuse } from "../../../contract/problem.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { LockRecord, LockWaiter } from "../../../domain/lock.ts";
import { lockTopic } from "../../../protocol/wake-topics.ts";
import type { GroupContext } from "../group-context.ts";
import { errorFrame } from "../sockets/frame-sender.ts";
import { lockView } from "./lock-view.ts";

/** Locks one agent may hold at a time. */
const LOCKS_PER_AGENT = 1000;

type Collaborators = Pick<
  GroupContext,
  "host" | "unit" | "group" | "sessions" | "locks" | "lockQueue" | "frames"
>;

export class LockGranter {
  readonly #context: Collaborators;
  #earliestWorkMs: number | null = null;

  constructor(context: Collaborators) {
    this.#context = context;
  }

  load(): void {
    this.#recompute();
  }

  /** When a wait is over or a delay has passed; may be earlier than the truth, never later. */
  get earliestWorkMs(): number | null {
    return this.#earliestWorkMs;
  }

  /** Grants the lock to the first in line, if it is free and somebody is. */
  grantNext(resource: string, nowMs: number): void {
    const { locks, lockQueue: queue, sessions } = this.#context;
    const lock = locks.find(resource);
    if (lock !== undefined && lock.holder !== null) return;
    if (lock !== undefined && lock.grantableAtMs !== null && lock.grantableAtMs > nowMs) {
      if (queue.lengthOf(resource) > 0) this.#note(lock.grantableAtMs);
      return;
    }
    const late: LockWaiter[] = [];
    for (;;) {
      const waiter = queue.head(resource);
      if (waiter === undefined) break;
      queue.leave(waiter);
      const session = sessions.find(waiter.agentId);
      if (session?.incarnation !== waiter.incarnation) continue;
      const limit = this.refuseMore(waiter.agentId);
      if (waiter.endsAtMs <= nowMs) late.push(waiter);
      else if (limit !== null) this.#tellMissed(waiter, limit.problem);
      else {
        const { agentId, incarnation, ttlMs } = waiter;
        this.#tellGranted(waiter, locks.grant(resource, agentId, incarnation, ttlMs, nowMs));
        break;
      }
    }
    for (const waiter of late) this.#tellMissed(waiter, heldProblem(locks.find(resource), nowMs));
  }

  /** Takes a place in the line, or keeps it. */
  queue(draft: Omit<LockWaiter, "position" | "endsAtMs" | "extensions">, nowMs: number): LockWaiter {
    const { lockQueue: queue, locks } = this.#context;
    const known = queue.find(draft.resource, draft.agentId);
    const waiter = known === undefined ? queue.join(draft, nowMs) : queue.stay(known, draft, nowMs);
    if (known !== undefined && known.requestId !== null && known.requestId !== waiter.requestId) {
      const detail = "asked again under another request_id, which has the place in line";
      this.#tellMissed(known, { code: "lock_held", detail });
    }
    this.#note(waiter.endsAtMs);
    this.#note(locks.find(draft.resource)?.grantableAtMs ?? null);
    return waiter;
  }

  /** It does not wait any more, however it asked. In the present transaction. */
  giveUp(resource: string, agentId: string): void {
    const waiter = this.#context.lockQueue.find(resource, agentId);
    if (waiter === undefined) return;
    this.#context.lockQueue.leave(waiter);
    const detail = "asked again with wait_seconds 0, which gives up the place in line";
    this.#tellMissed(waiter, { code: "lock_held", detail });
  }

  /** The incarnation is over, and its places with it. */
  leaveAllOf(agentId: string): void {
    for (const waiter of this.#context.lockQueue.positionsOf(agentId)) this.#context.lockQueue.leave(waiter);
    this.#ringAfterCommit(agentId);
  }

  /** The socket was closed in good order: who asked over it does not wait any more. */
  leaveFramesOf(agentId: string): void {
    for (const waiter of this.#context.lockQueue.positionsOf(agentId)) {
      if (waiter.requestId !== null) this.#context.lockQueue.leave(waiter);
    }
  }

  /** What became due: waits that are over, and locks whose delay has passed. */
  runDue(nowMs: number): void {
    if (this.#earliestWorkMs === null || this.#earliestWorkMs > nowMs) return;
    const { lockQueue: queue, locks } = this.#context;
    for (const waiter of queue.overdue(nowMs)) {
      queue.leave(waiter);
      this.#tellMissed(waiter, heldProblem(locks.find(waiter.resource), nowMs));
    }
    for (const resource of queue.resources()) this.grantNext(resource, nowMs);
    this.#recompute();
  }

  /** After a pause of ours. */
  extendAll(fromMs: number): void {
    this.#context.lockQueue.extendAll(fromMs);
    this.#recompute();
  }

  /** An agent holds as many locks as it may. */
  refuseMore(agentId: string): { ok: false; problem: Problem } | null {
    if (this.#context.locks.heldCountOf(agentId) < LOCKS_PER_AGENT) return null;
    const detail = `an agent may hold at most ${LOCKS_PER_AGENT} locks; release some first`;
    return { ok: false, problem: { code: "limit_reached", detail } };
  }

  #tellGranted({ agentId, requestId, resource }: LockWaiter, lock: LockRecord): void {
    const { sessions, unit, frames, lockQueue: queue, group } = this.#context;
    this.#ringAfterCommit(agentId);
    const connection = sessions.find(agentId)?.connection;
    if (requestId === null || connection == null) return;
    const frame = {
      type: "lock_granted" as const,
      request_id: requestId,
      lock: lockView(lock, group, queue.waiters(resource)),
    };
    unit.afterCommit(() => frames.follow(connection, frame));
  }

  #tellMissed({ agentId, requestId }: LockWaiter, problem: Problem): void {
    const { sessions, unit, frames } = this.#context;
    this.#ringAfterCommit(agentId);
    const connection = sessions.find(agentId)?.connection;
    if (requestId === null || connection == null) return;
    unit.afterCommit(() => frames.follow(connection, errorFrame(requestId, problem)));
  }

  /** Wakes the agent's waiting calls, which ask again. */
  #ringAfterCommit(agentId: string): void {
    const { unit, host } = this.#context;
    unit.afterCommit(() => host.wakeups.wake(lockTopic(agentId)));
  }

  #note(atMs: number | null): void {
    this.#earliestWorkMs = earliest(this.#earliestWorkMs, atMs);
  }

  #recompute(): void {
    const { lockQueue: queue, locks } = this.#context;
    this.#earliestWorkMs = queue.earliestEndMs;
    for (const resource of queue.resources()) {
      const lock = locks.find(resource);
      if (lock === undefined || lock.holder === null) this.#note(lock?.grantableAtMs ?? 0);
    }
  }
}

/** Why somebody does not get a lock. */
export function heldProblem(lock: LockRecord | undefined, nowMs: number): Problem {
  if (lock !== undefined && lock.holder !== null) {
    return {
      code: "lock_held",
      detail: `held by ${lock.holder}; try again after it expires or is released`,
      evidence: { holder: lock.holder, expires_at: instant(lock.expiresAtMs ?? nowMs) },
    };
  }
  const grantableAtMs = lock?.grantableAtMs ?? nowMs;
  return {
    code: "lock_held",
    detail:
      grantableAtMs > nowMs
        ? "its holder failed and the lock delay has not passed yet"
        : "the place in line was given up; ask again",
    evidence: { holder: null, expires_at: instant(grantableAtMs) },
  };
}

export function refuseHeld(lock: LockRecord | undefined, nowMs: number): Outcome<never> {
  const { code, detail, evidence } = heldProblem(lock, nowMs);
  return refuse(code, detail, evidence);
}
