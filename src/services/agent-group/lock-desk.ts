/**
 * What agents and operators do with locks. At most one holder a resource; a holder proves
 * itself by its fencing token, and only the alarm (see Watch) ends a lock whose TTL passed.
 */
import type { Page } from "../../contract/common.ts";
import type { Lock, LockAcquisition } from "../../contract/lock.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type { LockRecord } from "../../domain/lock.ts";
import { instant } from "../instant.ts";
import type { Ledger } from "./ledger.ts";
import { lockEvent } from "./lock-event.ts";
import { lockView } from "./lock-view.ts";
import { sessionExpired } from "./refusals.ts";

/** Locks one agent may hold at a time. */
const LOCKS_PER_AGENT = 1000;

/** Who calls, as its token says. */
export type Caller = { agentId: string; incarnation: number };

export class LockDesk {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  acquire(resource: string, incarnation: number | null, request: LockAcquisition): Outcome<Lock> {
    if (incarnation !== null) this.#ledger.sign(request.agent_id, incarnation);
    return this.#ledger.unit.commit((nowMs) => {
      const session = this.#ledger.sessions.find(request.agent_id);
      if (session === undefined || (incarnation !== null && session.incarnation !== incarnation)) {
        return sessionExpired();
      }
      const ttlMs =
        request.ttl_seconds === undefined
          ? this.#ledger.settings.defaultLockTtlMs
          : request.ttl_seconds * 1000;
      if (ttlMs > this.#ledger.settings.maxLockTtlMs) {
        return tooLong(this.#ledger.settings.maxLockTtlMs);
      }
      const lock = this.#ledger.locks.find(resource);
      if (lock?.holder === session.agentId && lock.incarnation === session.incarnation) {
        return ok(this.#view(this.#ledger.locks.renew(lock, ttlMs, nowMs)));
      }
      if (lock !== undefined && lock.holder !== null) {
        return refuse("lock_held", `held by ${lock.holder}; try again after it expires or is released`, {
          holder: lock.holder,
          expires_at: instant(lock.expiresAtMs ?? nowMs),
        });
      }
      if (lock !== undefined && lock.grantableAtMs !== null && lock.grantableAtMs > nowMs) {
        return refuse("lock_held", "its holder failed and the lock delay has not passed yet", {
          holder: null,
          expires_at: instant(lock.grantableAtMs),
        });
      }
      if (this.#ledger.locks.heldCountOf(session.agentId) >= LOCKS_PER_AGENT) {
        return refuse(
          "limit_reached",
          `an agent may hold at most ${LOCKS_PER_AGENT} locks; release some first`,
        );
      }
      const granted = this.#ledger.locks.grant(resource, session.agentId, session.incarnation, ttlMs, nowMs);
      return ok(this.#view(granted));
    });
  }

  /** @param caller the agent that asks, null for an operator */
  renew(resource: string, fencingToken: number, caller: Caller | null): Outcome<Lock> {
    this.#showsLife(caller);
    return this.#ledger.unit.commit((nowMs) => {
      const lock = this.#ledger.locks.find(resource);
      const refusal = this.#refuseStranger(lock, fencingToken, caller);
      if (refusal !== null) return refusal;
      if (lock === undefined || lock.holder === null) return staleToken(lock);
      return ok(this.#view(this.#ledger.locks.renew(lock, lock.ttlMs, nowMs)));
    });
  }

  release(resource: string, fencingToken: number, caller: Caller | null): Outcome<Lock> {
    this.#showsLife(caller);
    return this.#ledger.unit.commit(() => {
      const lock = this.#ledger.locks.find(resource);
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
      const refusal = this.#refuseStranger(lock, fencingToken, caller);
      if (refusal !== null) return refusal;
      if (lock === undefined || lock.holder === null) return staleToken(lock);
      return ok(this.#view(this.#ledger.locks.release(lock)));
    });
  }

  /** An operator ends a lock whoever holds it. */
  breakLock(resource: string): Outcome<Lock> {
    return this.#ledger.unit.commit((nowMs) => {
      const lock = this.#ledger.locks.find(resource);
      if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
      const broken = this.#ledger.locks.free(lock, this.#ledger.settings.lockDelayMs, nowMs);
      this.#ledger.noteEvents(nowMs, [lockEvent("lock.broken", lock)]);
      return ok(this.#view(broken));
    });
  }

  get(resource: string): Outcome<Lock> {
    const lock = this.#ledger.unit.read(() => this.#ledger.locks.find(resource));
    if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
    return ok(this.#view(lock));
  }

  list(limit: number, afterResource: string | null): Page<Lock> {
    const held = this.#ledger.unit.read(() => this.#ledger.locks.held());
    const from = afterResource === null ? 0 : held.findIndex((lock) => lock.resource > afterResource);
    const page = from < 0 ? [] : held.slice(from, from + limit);
    const isLast = from < 0 || from + limit >= held.length;
    return {
      items: page.map((lock) => this.#view(lock)),
      next_cursor: isLast ? null : (page.at(-1)?.resource ?? null),
    };
  }

  lockedCount(): number {
    return this.#ledger.unit.read(() => this.#ledger.locks.heldCount);
  }

  /** Whoever calls lives, whatever becomes of the call. */
  #showsLife(caller: Caller | null): void {
    if (caller !== null) this.#ledger.sign(caller.agentId, caller.incarnation);
  }

  #refuseStranger(
    lock: LockRecord | undefined,
    fencingToken: number,
    caller: Caller | null,
  ): Outcome<never> | null {
    if (lock === undefined || lock.holder === null || lock.fencingToken !== fencingToken)
      return staleToken(lock);
    if (caller === null) return null;
    if (lock.holder !== caller.agentId) return refuse("forbidden", "an agent may only touch its own locks");
    return lock.incarnation === caller.incarnation ? null : sessionExpired();
  }

  #view(lock: LockRecord): Lock {
    return lockView(lock, this.#ledger.group);
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
