/**
 * Grants a free lock to the first agent in its queue that may still have it. Each change that frees a lock calls
 * `grantNext` in the same transaction, so a free lock has a queue only while its lock delay lasts.
 */
import { instant } from "../../../contract/instant.ts";
import { type Outcome, type Problem, refuse } from "../../../contract/problem.ts";
import type { ServerFrame } from "../../../contract/socket.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { LockRecord, LockWaiter } from "../../../domain/lock.ts";
import { lockTopic } from "../../../protocol/wake-topics.ts";
import type { GroupContext } from "../group-context.ts";
import { errorFrame } from "../sockets/frame-sender.ts";
import type { WaiterDraft } from "./lock-queue.ts";
import { lockView } from "./lock-view.ts";

/** Locks that one agent may hold at a time. */
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

  /** When a wait or a lock delay ends; may be too early, never too late. */
  get earliestWorkMs(): number | null {
    return this.#earliestWorkMs;
  }

  /** Grants the lock to the first waiter, if the lock is free and has one. In the present transaction. */
  grantNext(resource: string, nowMs: number): void {
    const { locks, lockQueue, sessions } = this.#context;
    const lock = locks.find(resource);
    if (lock !== undefined && lock.holder !== null) return;
    if (lock !== undefined && lock.grantableAtMs !== null && lock.grantableAtMs > nowMs) {
      if (lockQueue.lengthOf(resource) > 0) this.#includeWork(lock.grantableAtMs);
      return;
    }
    const overdue: LockWaiter[] = [];
    for (;;) {
      const waiter = lockQueue.head(resource);
      if (waiter === undefined) break;
      lockQueue.leave(waiter);
      const { agentId, incarnation, ttlMs } = waiter;
      if (sessions.find(agentId)?.incarnation !== incarnation) continue;
      const limit = this.refuseAtLimit(agentId);
      if (waiter.endsAtMs <= nowMs) overdue.push(waiter);
      else if (limit !== null) this.#sendRefusal(waiter, limit.problem);
      else {
        this.#sendGrant(waiter, locks.grant({ resource, holder: agentId, incarnation, ttlMs }, nowMs));
        break;
      }
    }
    // Refused last, so that the refusal names the new holder.
    for (const waiter of overdue) this.#sendRefusal(waiter, heldProblem(locks.find(resource), nowMs));
  }

  /** Adds the agent to the queue, or prolongs its wait there. In the present transaction. */
  enqueue(draft: WaiterDraft, nowMs: number): LockWaiter {
    const { lockQueue, locks } = this.#context;
    const known = lockQueue.find(draft.resource, draft.agentId);
    const waiter =
      known === undefined ? lockQueue.join(draft, nowMs) : lockQueue.requeue(known, draft, nowMs);
    if (known !== undefined && known.requestId !== null && known.requestId !== waiter.requestId) {
      const detail = "the agent asked again with another request_id, which is answered instead";
      this.#sendRefusal(known, { code: "lock_held", detail });
    }
    this.#includeWork(waiter.endsAtMs);
    this.#includeWork(locks.find(draft.resource)?.grantableAtMs ?? null);
    return waiter;
  }

  /** The agent does not wait any more, by a frame or a call. In the present transaction. */
  giveUp(resource: string, agentId: string): void {
    const { lockQueue } = this.#context;
    const waiter = lockQueue.find(resource, agentId);
    if (waiter === undefined) return;
    lockQueue.leave(waiter);
    const detail = "the agent asked again with wait_seconds 0, which gives up the queue position";
    this.#sendRefusal(waiter, { code: "lock_held", detail });
  }

  /** The incarnation has ended, and with it all its waits. In the present transaction. */
  leaveAllOf(agentId: string): void {
    const { lockQueue } = this.#context;
    for (const waiter of lockQueue.waitsOf(agentId)) lockQueue.leave(waiter);
    this.#wakeAfterCommit(agentId);
  }

  /** The socket was closed in good order: requests that came over it wait no longer. In the present transaction. */
  leaveFramesOf(agentId: string): void {
    const { lockQueue } = this.#context;
    for (const waiter of lockQueue.waitsOf(agentId)) {
      if (waiter.requestId !== null) lockQueue.leave(waiter);
    }
  }

  /** Ends waits that are over, and grants locks whose delay has passed. In the present transaction. */
  runDue(nowMs: number): void {
    if (this.#earliestWorkMs === null || this.#earliestWorkMs > nowMs) return;
    const { lockQueue, locks } = this.#context;
    for (const waiter of lockQueue.overdue(nowMs)) {
      lockQueue.leave(waiter);
      this.#sendRefusal(waiter, heldProblem(locks.find(waiter.resource), nowMs));
    }
    for (const resource of lockQueue.resources()) this.grantNext(resource, nowMs);
    this.#recompute();
  }

  /** After an outage of the coordinator that ended at `fromMs`. */
  extendAll(fromMs: number): void {
    this.#context.lockQueue.extendAll(fromMs);
    this.#recompute();
  }

  /** Refuses a further lock to an agent that holds as many as it may. */
  refuseAtLimit(agentId: string): { ok: false; problem: Problem } | null {
    if (this.#context.locks.heldCountOf(agentId) < LOCKS_PER_AGENT) return null;
    const detail = `an agent may hold at most ${LOCKS_PER_AGENT} locks; release some first`;
    return { ok: false, problem: { code: "limit_reached", detail } };
  }

  #sendGrant(waiter: LockWaiter, lock: LockRecord): void {
    const { group, lockQueue } = this.#context;
    this.#answer(waiter, (requestId) => ({
      type: "lock_granted",
      request_id: requestId,
      lock: lockView(lock, group, lockQueue.waiters(lock.resource)),
    }));
  }

  #sendRefusal(waiter: LockWaiter, problem: Problem): void {
    this.#answer(waiter, (requestId) => errorFrame(requestId, problem));
  }

  /** Answers the frame that waits, and wakes the agent's waiting calls, which ask again. */
  #answer({ agentId, requestId }: LockWaiter, frameFor: (requestId: string) => ServerFrame): void {
    const { sessions, unit, frames } = this.#context;
    this.#wakeAfterCommit(agentId);
    const connection = sessions.find(agentId)?.connection;
    if (requestId === null || connection == null) return;
    const frame = frameFor(requestId);
    unit.afterCommit(() => frames.sendAfterAnswers(connection, frame));
  }

  #wakeAfterCommit(agentId: string): void {
    const { unit, host } = this.#context;
    unit.afterCommit(() => host.wakeups.wake(lockTopic(agentId)));
  }

  #includeWork(atMs: number | null): void {
    this.#earliestWorkMs = earliest(this.#earliestWorkMs, atMs);
  }

  #recompute(): void {
    const { lockQueue, locks } = this.#context;
    this.#earliestWorkMs = lockQueue.earliestEndMs;
    for (const resource of lockQueue.resources()) {
      const lock = locks.find(resource);
      if (lock === undefined || lock.holder === null) this.#includeWork(lock?.grantableAtMs ?? 0);
    }
  }
}

/** Why an agent does not get a lock. */
export function heldProblem(lock: LockRecord | undefined, nowMs: number): Problem {
  if (lock !== undefined && lock.holder !== null) {
    return {
      code: "lock_held",
      detail: `the lock is held by ${lock.holder}; try again after expires_at, or wait in the queue with wait_seconds (up to 30)`,
      evidence: { holder: lock.holder, expires_at: instant(lock.expiresAtMs ?? nowMs) },
    };
  }
  const grantableAtMs = lock?.grantableAtMs ?? nowMs;
  return {
    code: "lock_held",
    detail:
      grantableAtMs > nowMs
        ? "the holder failed, and the lock delay has not passed yet; try again after expires_at"
        : "the wait has ended without a grant; send the request again to join the queue",
    evidence: { holder: null, expires_at: instant(grantableAtMs) },
  };
}

export function refuseHeld(lock: LockRecord | undefined, nowMs: number): Outcome<never> {
  const { code, detail, evidence } = heldProblem(lock, nowMs);
  return refuse(code, detail, evidence);
}
