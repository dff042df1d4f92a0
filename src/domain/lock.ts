/**
 * The life of a lock. Pure: `grant`, `renewed`, `released` and `freed` return the next record.
 *
 *   free --grant--> held --release | TTL passed | holder failed--> free
 *                    '--renew--> held (same fencing token)
 *
 * Every grant has a fencing token greater than any before it. Only the group's alarm
 * declares a TTL passed; until then the holder still holds, and may renew.
 */
import { MAX_CREDITS } from "./liveness.ts";

export type LockRecord = {
  readonly resource: string;
  readonly holder: string | null;
  readonly incarnation: number | null;
  readonly fencingToken: number;
  readonly ttlMs: number;
  readonly acquiredAtMs: number;
  /** The TTL's end while held, else null. */
  readonly expiresAtMs: number | null;
  /** Credits since the last renewal, see liveness. */
  readonly credits: number;
  /** The last token that ended by its holder's own release, so that a repeated release is answered alike. */
  readonly releasedToken: number | null;
  /** Not to be granted before this instant, null if at once (`lock_delay_seconds` after a failure or expiry). */
  readonly grantableAtMs: number | null;
};

export type Grant = {
  resource: string;
  holder: string;
  incarnation: number;
  fencingToken: number;
  ttlMs: number;
};

export function granted(grant: Grant, previous: LockRecord | undefined, nowMs: number): LockRecord {
  return {
    ...grant,
    acquiredAtMs: nowMs,
    expiresAtMs: nowMs + grant.ttlMs,
    credits: 0,
    releasedToken: previous?.releasedToken ?? null,
    grantableAtMs: null,
  };
}

export function renewed(lock: LockRecord, ttlMs: number, nowMs: number): LockRecord {
  return { ...lock, ttlMs, expiresAtMs: nowMs + ttlMs, credits: 0 };
}

export function released(lock: LockRecord): LockRecord {
  return { ...lock, holder: null, incarnation: null, expiresAtMs: null, releasedToken: lock.fencingToken };
}

/** Ended against the holder's will: by expiry, failure or an operator. */
export function freed(lock: LockRecord, lockDelayMs: number, nowMs: number): LockRecord {
  return {
    ...lock,
    holder: null,
    incarnation: null,
    expiresAtMs: null,
    grantableAtMs: lockDelayMs > 0 ? nowMs + lockDelayMs : null,
  };
}

/** After a pause of ours: the whole TTL again, at most twice between two renewals. */
export function creditedLock(lock: LockRecord, nowMs: number): LockRecord {
  if (lock.expiresAtMs === null || lock.credits >= MAX_CREDITS) return lock;
  return { ...lock, expiresAtMs: Math.max(lock.expiresAtMs, nowMs + lock.ttlMs), credits: lock.credits + 1 };
}
