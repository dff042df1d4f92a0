/**
 * What agents and operators do with locks. A lock has at most one holder, who proves itself by its fencing token. An
 * agent that has to wait is stored in the lock's queue (see LockQueue); the queue is served first, so its order is kept.
 * Only the alarm ends a lock whose TTL has passed (see LivenessMonitor).
 */
import type { Page } from "../../../contract/common.ts";
import type { Lock, LockAcquisition } from "../../../contract/lock.ts";
import type { SimulatedFailover } from "../../../contract/placement/failover-simulation.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { type HeldLock, isHeld, type LockRecord, releaseOf } from "../../../domain/lock.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import type { GroupContext } from "../group-context.ts";
import { type SessionLifecycle, sessionExpired } from "../liveness/session-lifecycle.ts";
import type { Session } from "../liveness/sessions.ts";
import { type LockGranter, refuseHeld } from "./lock-granter.ts";
import { lockEvent, lockView } from "./lock-view.ts";

/** What the queues of a group hold at most. */
const WAITERS_PER_LOCK = 1000;
const WAITERS_PER_AGENT = 1000;
const WAITERS_PER_GROUP = 10_000;

/**
 * An agent asks for a lock. With `wait_seconds` the agent queues for the lock while it is held; 0 gives up the queue
 * position that the agent has, and left out keeps that position.
 */
export type LockCall = LockAcquisition & {
  /** The queue position that the same call was given before. Once that was given up, the call gets nothing. */
  position?: number | null;
};

export type LockRequest = {
  resource: string;
  call: LockCall;
  /** An operator asks for the incarnation that is live. */
  principal: Principal;
  /** The id of the frame that asks; null for a call over HTTP, which asks again. */
  requestId: string | null;
};

/** The lock, or a position in its queue until that instant. */
export type LockAnswer = { lock: Lock } | { lock: null; position: number; waitsUntilMs: number };

/** One grant of a lock. */
export type LockGrant = { resource: string; fencingToken: number };

export type ReleasedLocks = { released: SimulatedFailover["locks_released"]; count: number };

type Collaborators = Pick<
  GroupContext,
  "unit" | "group" | "settings" | "sessions" | "locks" | "lockQueue" | "recordEvents"
>;

export class LockService {
  readonly #context: Collaborators;
  readonly #lifecycle: Pick<SessionLifecycle, "recordSign">;
  readonly #granter: LockGranter;

  constructor(context: Collaborators, lifecycle: Pick<SessionLifecycle, "recordSign">, granter: LockGranter) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#granter = granter;
  }

  acquire(resource: string, call: LockCall, principal: Principal): Outcome<LockAnswer> {
    // A call that waits asks again when it is woken, and its caller may be gone by then.
    if ((call.position ?? null) === null) this.#recordSign(principal);
    const { unit, sessions } = this.#context;
    // A group that stores nothing yet is to store nothing afterwards.
    if (unit.read(() => sessions.find(call.agent_id)) === undefined) {
      return sessionExpired(sessions, call.agent_id, agentOf(principal)?.incarnation ?? null);
    }
    const request = { resource, call, principal, requestId: null };
    // Wrapped: what the queue was given, or gave up, is kept although the call is refused.
    return unit.commit((nowMs) => ({ outcome: this.acquireNow(request, nowMs) })).outcome;
  }

  /** In the present transaction, which is kept although the request is refused. */
  acquireNow(request: LockRequest, nowMs: number): Outcome<LockAnswer> {
    const { resource, call } = request;
    if (this.#context.lockQueue.lengthOf(resource) > 0) this.#granter.grantNext(resource, nowMs);
    const outcome = this.#grantOrQueue(request, nowMs);
    if (call.wait_seconds === 0 && !outcome.ok && outcome.problem.code === "lock_held") {
      this.#granter.giveUp(resource, call.agent_id);
    }
    return outcome;
  }

  /**
   * Gives up a queue position, unless the agent has asked for the lock again since, or a frame waits in that position
   * too: the frame is answered at the end of its own wait.
   * @param waitsUntilMs as the call that leaves was answered
   */
  leaveQueue(resource: string, agentId: string, waitsUntilMs: number): void {
    const { unit, lockQueue } = this.#context;
    const waiter = unit.read(() => lockQueue.find(resource, agentId));
    if (waiter === undefined || waiter.requestId !== null || waiter.endsAtMs > waitsUntilMs) return;
    unit.commit(() => lockQueue.leave(waiter));
  }

  renew(resource: string, fencingToken: number, principal: Principal): Outcome<Lock> {
    this.#recordSign(principal);
    return this.#context.unit.commit((nowMs) => this.renewNow({ resource, fencingToken }, principal, nowMs));
  }

  /** In the present transaction. */
  renewNow(grant: LockGrant, principal: Principal, nowMs: number): Outcome<Lock> {
    const current = this.#currentGrant(grant, principal);
    if (!current.ok) return current;
    const { value: lock } = current;
    return ok(this.#view(this.#context.locks.renew(lock, lock.ttlMs, nowMs)));
  }

  release(resource: string, fencingToken: number, principal: Principal): Outcome<Lock> {
    this.#recordSign(principal);
    return this.#context.unit.commit((nowMs) =>
      this.releaseNow({ resource, fencingToken }, principal, nowMs),
    );
  }

  /** In the present transaction. */
  releaseNow(grant: LockGrant, principal: Principal, nowMs: number): Outcome<Lock> {
    const { resource, fencingToken } = grant;
    const known = this.#context.locks.find(resource);
    const release = known && releaseOf(known, fencingToken);
    if (known !== undefined && release !== undefined) {
      const caller = agentOf(principal);
      if (caller !== null && caller.agentId !== release.holder) return notYours();
      // A repeated release is answered like the first one, also when others have held the lock since.
      const free = { holder: null, incarnation: null, expiresAtMs: null };
      return ok(this.#view({ ...known, ...release, ...free }));
    }
    const current = this.#currentGrant(grant, principal);
    if (!current.ok) return current;
    const released = this.#context.locks.release(current.value);
    this.#granter.grantNext(resource, nowMs);
    return ok(this.#view(released));
  }

  /** For an operator: ends a lock in the hands of any holder. */
  breakLock(resource: string): Outcome<Lock> {
    const { unit, locks, settings } = this.#context;
    return unit.commit((nowMs) => {
      const lock = locks.find(resource);
      if (lock === undefined || lock.holder === null) return notHeld();
      const broken = locks.end(lock, { ending: "broken", lockDelayMs: settings.lockDelayMs }, nowMs);
      this.#context.recordEvents(nowMs, [lockEvent("lock.broken", lock)]);
      this.#granter.grantNext(resource, nowMs);
      return ok(this.#view(broken));
    });
  }

  get(resource: string): Outcome<Lock> {
    const lock = this.#context.unit.read(() => this.#context.locks.find(resource));
    if (lock === undefined || lock.holder === null) return notHeld();
    return ok(this.#view(lock));
  }

  list(limit: number, afterResource: string | null): Page<Lock> {
    const held = this.#context.unit.read(() => this.#context.locks.held());
    const from = afterResource === null ? 0 : held.findIndex((lock) => lock.resource > afterResource);
    const page = from < 0 ? [] : held.slice(from, from + limit);
    const isLast = from < 0 || from + limit >= held.length;
    return {
      items: page.map((lock) => this.#view(lock)),
      next_cursor: isLast ? null : (page.at(-1)?.resource ?? null),
    };
  }

  /** What would become of the locks of these agents if all of them failed now; the first few, and how many. */
  releasedByFailure(agentIds: readonly string[], limit: number): ReleasedLocks {
    return this.#context.unit.read((nowMs) => {
      const { settings, locks, lockQueue, group } = this.#context;
      // With failover off a failed agent's locks end by their TTL alone.
      const held = settings.failoverEnabled ? agentIds.flatMap((agentId) => locks.heldBy(agentId)) : [];
      const failing = new Set(agentIds);
      const released = held.slice(0, limit).map(({ resource, holder }) => {
        const next = lockQueue
          .waiters(resource)
          .find(({ agentId, endsAtMs }) => !failing.has(agentId) && endsAtMs > nowMs);
        return { resource, group, holder: holder ?? "", next_holder: next?.agentId ?? null };
      });
      return { released, count: held.length };
    });
  }

  lockedCount(): number {
    return this.#context.unit.read(() => this.#context.locks.heldCount);
  }

  /** The queue of a free lock has been served before. */
  #grantOrQueue({ resource, call, principal, requestId }: LockRequest, nowMs: number): Outcome<LockAnswer> {
    const { settings, locks, lockQueue } = this.#context;
    const { agent_id: agentId, position = null } = call;
    const session = this.#sessionFor(agentId, principal);
    if (session === null) {
      return sessionExpired(this.#context.sessions, agentId, agentOf(principal)?.incarnation ?? null);
    }
    const { incarnation } = session;
    const ttlMs = call.ttl_seconds === undefined ? settings.defaultLockTtlMs : call.ttl_seconds * 1000;
    if (ttlMs > settings.maxLockTtlMs) return ttlTooLong(settings.maxLockTtlMs);
    const lock = locks.find(resource);
    if (lock?.holder === agentId && lock.incarnation === incarnation) {
      return ok({ lock: this.#view(locks.renew(lock, ttlMs, nowMs)) });
    }
    const waiter = lockQueue.find(resource, agentId);
    // The caller may be gone, and would not release a lock that it got.
    if (position !== null && waiter?.position !== position) return refuseHeld(lock, nowMs);
    if (lock === undefined || (lock.holder === null && (lock.grantableAtMs ?? 0) <= nowMs)) {
      const refusal = this.#granter.refuseAtLimit(agentId);
      if (refusal !== null) return refusal;
      const granted = locks.grant({ resource, holder: agentId, incarnation, ttlMs }, nowMs);
      return ok({ lock: this.#view(granted) });
    }
    const waitMs = Math.round((call.wait_seconds ?? 0) * 1000);
    if (waitMs <= 0) return refuseHeld(lock, nowMs);
    const refusal = waiter === undefined ? this.#refuseFullQueue(resource, agentId) : null;
    if (refusal !== null) return refusal;
    const draft = { resource, agentId, incarnation, ttlMs, waitMs, requestId };
    const queued = this.#granter.enqueue(draft, nowMs);
    return ok({ lock: null, position: queued.position, waitsUntilMs: queued.endsAtMs });
  }

  /** The agent's session, if the caller may ask for it. */
  #sessionFor(agentId: string, principal: Principal): Session | null {
    const session = this.#context.sessions.find(agentId);
    const caller = agentOf(principal);
    if (session === undefined) return null;
    return caller === null || caller.incarnation === session.incarnation ? session : null;
  }

  #refuseFullQueue(resource: string, agentId: string): Outcome<never> | null {
    const { lockQueue } = this.#context;
    const full = (what: string) => refuse("limit_reached", `${what}; try again later`);
    if (lockQueue.lengthOf(resource) >= WAITERS_PER_LOCK) {
      return full(`at most ${WAITERS_PER_LOCK} agents may wait for one lock`);
    }
    if (lockQueue.countOf(agentId) >= WAITERS_PER_AGENT) {
      return full(`an agent may wait for at most ${WAITERS_PER_AGENT} locks`);
    }
    return lockQueue.count < WAITERS_PER_GROUP
      ? null
      : full(`at most ${WAITERS_PER_GROUP} requests may wait for the locks of a group`);
  }

  /** A call by an agent is a sign of life, also when the call is refused. */
  #recordSign(principal: Principal): void {
    const caller = agentOf(principal);
    if (caller !== null) this.#lifecycle.recordSign(caller.agentId, caller.incarnation);
  }

  /** The lock, if this is its current grant and the caller may change it. */
  #currentGrant({ resource, fencingToken }: LockGrant, principal: Principal): Outcome<HeldLock> {
    const lock = this.#context.locks.find(resource);
    if (!isHeld(lock) || lock.fencingToken !== fencingToken) {
      return staleToken(lock);
    }
    const caller = agentOf(principal);
    if (caller === null) return ok(lock);
    if (lock.holder !== caller.agentId) return notYours();
    if (lock.incarnation === caller.incarnation) return ok(lock);
    return sessionExpired(this.#context.sessions, caller.agentId, caller.incarnation);
  }

  #view(lock: LockRecord): Lock {
    return lockView(lock, this.#context.group, this.#context.lockQueue.waiters(lock.resource));
  }
}

function ttlTooLong(maxTtlMs: number): Outcome<never> {
  const message = `must be at most ${maxTtlMs / 1000} (lock_config.max_ttl_seconds)`;
  const errors = [{ path: "ttl_seconds", message }];
  return {
    ok: false,
    problem: { code: "invalid_request", detail: "the body is not valid; see errors", errors },
  };
}

function notHeld(): Outcome<never> {
  return refuse("not_found", "no agent holds this lock in this group; acquire it first");
}

function notYours(): Outcome<never> {
  return refuse(
    "forbidden",
    "an agent may only change its own locks; acquire the lock to get a token of its own",
  );
}

function staleToken(lock: LockRecord | undefined): Outcome<never> {
  return refuse(
    "stale_fencing_token",
    "this fencing token is no longer current; stop using the resource, and acquire the lock again",
    {
      fencing_token: lock?.fencingToken ?? null,
      holder: lock?.holder ?? null,
    },
  );
}
