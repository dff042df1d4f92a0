/**
 * The life of a lock, and of a place in the line for it. Pure: each function returns the next record.
 *
 *   free --grant--> held --release | TTL passed | holder failed--> free
 *                    '--renew--> held (same fencing token)
 *
 *   asked --somebody holds it--> waits --its turn--> granted
 *                                 '--its wait is over | it leaves | its incarnation ends--> gone
 *
 * Every grant has a fencing token greater than any before it. Only the group's alarm
 * declares a TTL passed; until then the holder still holds, and may renew.
 */
import { MAX_EXTENSIONS } from "./liveness.ts";

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
  readonly extensions: number;
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
    extensions: 0,
    releasedToken: previous?.releasedToken ?? null,
    grantableAtMs: null,
  };
}

export function renewed(lock: LockRecord, ttlMs: number, nowMs: number): LockRecord {
  return { ...lock, ttlMs, expiresAtMs: nowMs + ttlMs, extensions: 0 };
}

export function released(lock: LockRecord): LockRecord {
  return { ...lock, holder: null, incarnation: null, expiresAtMs: null, releasedToken: lock.fencingToken };
}

/** Ended against the holder's will: by expiry, failure or an operator. */
export function ended(lock: LockRecord, lockDelayMs: number, nowMs: number): LockRecord {
  return {
    ...lock,
    holder: null,
    incarnation: null,
    expiresAtMs: null,
    grantableAtMs: lockDelayMs > 0 ? nowMs + lockDelayMs : null,
  };
}

/** After a pause of ours: the whole TTL again, at most twice between two renewals. */
export function extendedLock(lock: LockRecord, nowMs: number): LockRecord {
  if (lock.expiresAtMs === null || lock.extensions >= MAX_EXTENSIONS) return lock;
  return {
    ...lock,
    expiresAtMs: Math.max(lock.expiresAtMs, nowMs + lock.ttlMs),
    extensions: lock.extensions + 1,
  };
}

/** Somebody in line for a lock. */
export type LockWaiter = {
  /** Its place: who came first has the smallest. */
  readonly position: number;
  readonly resource: string;
  readonly agentId: string;
  readonly incarnation: number;
  /** Of the grant, when its turn comes. */
  readonly ttlMs: number;
  /** How long it asked to wait, and until when that is. */
  readonly waitMs: number;
  readonly endsAtMs: number;
  /** Credits of this wait, see liveness. */
  readonly extensions: number;
  /** Of the frame that is to be answered; null for a call, which asks again. */
  readonly requestId: string | null;
};

/** It asks again, and keeps its place. */
export function requeued(
  waiter: LockWaiter,
  asked: Pick<LockWaiter, "ttlMs" | "waitMs" | "requestId">,
  nowMs: number,
): LockWaiter {
  return {
    ...waiter,
    ttlMs: asked.ttlMs,
    waitMs: asked.waitMs,
    endsAtMs: Math.max(waiter.endsAtMs, nowMs + asked.waitMs),
    extensions: 0,
    requestId: asked.requestId ?? waiter.requestId,
  };
}

/** After a pause of ours: the whole wait again, so that it can come back and keep its place; at most twice. */
export function extendedWaiter(waiter: LockWaiter, nowMs: number): LockWaiter {
  if (waiter.extensions >= MAX_EXTENSIONS) return waiter;
  return {
    ...waiter,
    endsAtMs: Math.max(waiter.endsAtMs, nowMs + waiter.waitMs),
    extensions: waiter.extensions + 1,
  };
}
