/**
 * What agents and operators do with locks. At most one holder a resource; a holder proves
 * itself by its fencing token, and only the alarm (see Watch) ends a lock whose TTL passed.
 * Who has to wait stands in line (see LockLine), and nobody overtakes.
 */
import type { Page } from "../../../contract/common.ts";
import type { Lock, LockAcquisition } from "../../../contract/lock.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { LockRecord } from "../../../domain/lock.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import type { GroupContext } from "../group-context.ts";
import { type SessionLifecycle, sessionExpired } from "../liveness/session-lifecycle.ts";
import { type LockGranter, refuseHeld } from "./lock-granter.ts";
import { lockEvent, lockView } from "./lock-view.ts";

/** Bounds of the lines. */
const WAITERS_PER_LOCK = 1000;
const WAITERS_PER_AGENT = 1000;
const WAITERS_PER_GROUP = 10_000;

/** An agent asks for a lock. */
export type LockRequest = {
  resource: string;
  agentId: string;
  /** An operator asks in the name of the incarnation that is live. */
  principal: Principal;
  /** Null for the configured one. */
  ttlMs: number | null;
  /** How long it would stand in line. */
  waitMs: number;
  /** Of the frame that asks; null for a call. */
  requestId: string | null;
  /** The queue position that this call was given before; null if it asks for the first time. */
  position: number | null;
};

/** A call over HTTP that may wait for the lock. */
export type LockCall = { request: LockAcquisition } & Pick<LockRequest, "waitMs" | "position">;

/** The lock, or a position in the queue, until that instant. */
export type LockAnswer = { lock: Lock } | { lock: null; position: number; waitsUntilMs: number };

export class LockService {
  readonly #context: GroupContext;
  readonly #lifecycle: SessionLifecycle;
  readonly #granter: LockGranter;

  constructor(context: GroupContext, lifecycle: SessionLifecycle, granter: LockGranter) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#granter = granter;
  }

  /** Without waiting. Whoever says so in so many words, with a wait of 0, gives up the place that it has in line. */
  acquire(resource: string, request: LockAcquisition, principal: Principal): Outcome<Lock> {
    const asked = this.queue(resource, { request, waitMs: 0, position: null }, principal);
    if (!asked.ok) {
      const { agent_id: agentId, wait_seconds } = request;
      if (wait_seconds === 0 && asked.problem.code === "lock_held") {
        this.#context.unit.commit(() => this.giveUp(resource, agentId));
      }
      return asked;
    }
    if (asked.value.lock === null) throw new Error("nobody waits who did not ask to");
    return ok(asked.value.lock);
  }

  /**
   * Queues for the lock if it is held. A call that asks again keeps its position; once the position was given up, the
   * call gets neither the position nor the lock.
   */
  queue(resource: string, call: LockCall, principal: Principal): Outcome<LockAnswer> {
    const { waitMs, position } = call;
    const { agent_id: agentId, ttl_seconds } = call.request;
    this.#showsLife(principal);
    const ttlMs = ttl_seconds === undefined ? null : ttl_seconds * 1000;
    const { unit, lockQueue: line, locks } = this.#context;
    // In a commit of its own: what the line is given stands, whatever becomes of this call.
    if (unit.read(() => line.lengthOf(resource) > 0 && locks.find(resource)?.holder == null)) {
      unit.commit((nowMs) => this.serveLine(resource, nowMs));
    }
    const request = { resource, agentId, principal, ttlMs, waitMs, requestId: null, position };
    return unit.commit((nowMs) => this.ask(request, nowMs));
  }

  /**
   * Gives up a place in line, unless it was asked for again since, or a frame waits in it too: that one is answered
   * when its own wait is over.
   * @param waitsUntilMs as it was answered to the call that leaves
   */
  leaveQueue(resource: string, agentId: string, waitsUntilMs: number): void {
    const waiter = this.#context.unit.read(() => this.#context.lockQueue.find(resource, agentId));
    if (waiter === undefined || waiter.requestId !== null || waiter.endsAtMs > waitsUntilMs) return;
    this.#context.unit.commit(() => this.#context.lockQueue.leave(waiter));
  }

  /** In the present transaction, in which the line of a free lock has been served. */
  ask(request: LockRequest, nowMs: number): Outcome<LockAnswer> {
    const { resource, agentId, principal, waitMs, requestId, position } = request;
    const { sessions, settings, locks, lockQueue: line } = this.#context;
    const session = sessions.find(agentId);
    const caller = agentOf(principal);
    if (session === undefined || (caller !== null && session.incarnation !== caller.incarnation)) {
      return sessionExpired();
    }
    const ttlMs = request.ttlMs ?? settings.defaultLockTtlMs;
    if (ttlMs > settings.maxLockTtlMs) return tooLong(settings.maxLockTtlMs);
    const lock = locks.find(resource);
    if (lock?.holder === agentId && lock.incarnation === session.incarnation) {
      return ok({ lock: this.#view(locks.renew(lock, ttlMs, nowMs)) });
    }
    // Nobody may wait for this call any more, so it must not get what it would have to release.
    if (position !== null && line.find(resource, agentId)?.position !== position)
      return refuseHeld(lock, nowMs);
    if (lock === undefined || (lock.holder === null && (lock.grantableAtMs ?? 0) <= nowMs)) {
      const refusal = this.#granter.refuseMore(agentId);
      if (refusal !== null) return refusal;
      return ok({ lock: this.#view(locks.grant(resource, agentId, session.incarnation, ttlMs, nowMs)) });
    }
    if (waitMs <= 0) return refuseHeld(lock, nowMs);
    const refusal = line.find(resource, agentId) === undefined ? this.#refuseLine(resource, agentId) : null;
    if (refusal !== null) return refusal;
    const draft = { resource, agentId, incarnation: session.incarnation, ttlMs, waitMs, requestId };
    const queued = this.#granter.queue(draft, nowMs);
    return ok({ lock: null, position: queued.position, waitsUntilMs: queued.endsAtMs });
  }

  /** The agent waits no longer. In the present transaction. */
  giveUp(resource: string, agentId: string): void {
    this.#granter.giveUp(resource, agentId);
  }

  /** Serves the line of a lock that is free, in the present transaction: nobody overtakes. */
  serveLine(resource: string, nowMs: number): void {
    if (this.#context.lockQueue.lengthOf(resource) > 0) this.#granter.grantNext(resource, nowMs);
  }

  renew(resource: string, fencingToken: number, principal: Principal): Outcome<Lock> {
    this.#showsLife(principal);
    return this.#context.unit.commit((nowMs) => this.renewNow(resource, fencingToken, principal, nowMs));
  }

  /** In the present transaction. */
  renewNow(resource: string, fencingToken: number, principal: Principal, nowMs: number): Outcome<Lock> {
    const lock = this.#context.locks.find(resource);
    const refusal = this.#refuseStranger(lock, fencingToken, principal);
    if (refusal !== null) return refusal;
    if (lock === undefined || lock.holder === null) return staleToken(lock);
    return ok(this.#view(this.#context.locks.renew(lock, lock.ttlMs, nowMs)));
  }

  release(resource: string, fencingToken: number, principal: Principal): Outcome<Lock> {
    this.#showsLife(principal);
    return this.#context.unit.commit((nowMs) => this.releaseNow(resource, fencingToken, principal, nowMs));
  }

  /** In the present transaction. */
  releaseNow(resource: string, fencingToken: number, principal: Principal, nowMs: number): Outcome<Lock> {
    const lock = this.#context.locks.find(resource);
    if (lock !== undefined && lock.releasedToken === fencingToken) {
      // Answered as the first time, also when somebody else holds it by now.
      return ok({
        ...this.#view(lock),
        holder: null,
        incarnation: null,
        expires_at: null,
        fencing_token: fencingToken,
      });
    }
    const refusal = this.#refuseStranger(lock, fencingToken, principal);
    if (refusal !== null) return refusal;
    if (lock === undefined || lock.holder === null) return staleToken(lock);
    const released = this.#context.locks.release(lock);
    this.#granter.grantNext(resource, nowMs);
    return ok(this.#view(released));
  }

  /** An operator ends a lock whoever holds it. */
  breakLock(resource: string): Outcome<Lock> {
    return this.#context.unit.commit((nowMs) => {
      const lock = this.#context.locks.find(resource);
      if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
      const broken = this.#context.locks.end(lock, this.#context.settings.lockDelayMs, nowMs);
      this.#context.recordEvents(nowMs, [lockEvent("lock.broken", lock)]);
      this.#granter.grantNext(resource, nowMs);
      return ok(this.#view(broken));
    });
  }

  get(resource: string): Outcome<Lock> {
    const lock = this.#context.unit.read(() => this.#context.locks.find(resource));
    if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
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

  lockedCount(): number {
    return this.#context.unit.read(() => this.#context.locks.heldCount);
  }

  #refuseLine(resource: string, agentId: string): Outcome<never> | null {
    const { lockQueue: line } = this.#context;
    const full = (what: string) => refuse("limit_reached", `${what}; try again later`);
    if (line.lengthOf(resource) >= WAITERS_PER_LOCK) {
      return full(`at most ${WAITERS_PER_LOCK} agents may wait for one lock`);
    }
    if (line.countOf(agentId) >= WAITERS_PER_AGENT) {
      return full(`an agent may wait for at most ${WAITERS_PER_AGENT} locks`);
    }
    return line.count < WAITERS_PER_GROUP
      ? null
      : full(`at most ${WAITERS_PER_GROUP} may wait for the locks of a group`);
  }

  /** Whoever calls lives, whatever becomes of the call. */
  #showsLife(principal: Principal): void {
    const caller = agentOf(principal);
    if (caller !== null) this.#lifecycle.recordSign(caller.agentId, caller.incarnation);
  }

  #refuseStranger(
    lock: LockRecord | undefined,
    fencingToken: number,
    principal: Principal,
  ): Outcome<never> | null {
    if (lock === undefined || lock.holder === null || lock.fencingToken !== fencingToken)
      return staleToken(lock);
    const caller = agentOf(principal);
    if (caller === null) return null;
    if (lock.holder !== caller.agentId) return refuse("forbidden", "an agent may only touch its own locks");
    return lock.incarnation === caller.incarnation ? null : sessionExpired();
  }

  #view(lock: LockRecord): Lock {
    return lockView(lock, this.#context.group, this.#context.lockQueue.waiters(lock.resource));
  }
}

function tooLong(maxTtlMs: number): Outcome<never> {
  const message = `must be at most ${maxTtlMs / 1000} (lock_config.max_ttl_seconds)`;
  const errors = [{ path: "ttl_seconds", message }];
  return { ok: false, problem: { code: "invalid_request", detail: "the body is not valid", errors } };
}

function staleToken(lock: LockRecord | undefined): Outcome<never> {
  return refuse("stale_fencing_token", "this grant is over: acquire the lock again", {
    fencing_token: lock?.fencingToken ?? null,
    holder: lock?.holder ?? null,
  });
}
