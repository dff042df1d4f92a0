/**
 * The life cycle of a lock, and of a waiter in the queue for it. Pure: each function returns the next record.
 *
 *   free --grant--> held --release | TTL passed | holder failed--> free
 *                    '--renew--> held (same fencing token)
 *
 *   requested --the lock is held--> waiting --the lock is free and the waiter is first--> granted
 *                                     '--the wait ends | the waiter leaves | its incarnation ends--> removed
 *
 * Each grant has a fencing token greater than any before it. Only the group's alarm ends a lock whose TTL has passed;
 * until then the holder keeps the lock, and may renew it.
 */
import { MAX_EXTENSIONS } from "./liveness.ts";

/** A grant that its holder released. */
export type ReleasedGrant = {
  /** The agent that released it. */
  readonly holder: string;
  readonly fencingToken: number;
  readonly ttlMs: number;
  readonly acquiredAtMs: number;
};

/** Releases that are remembered: the contract promises the last 16 grants. */
const RELEASES_KEPT = 16;

export type LockRecord = {
  readonly resource: string;
  readonly holder: string | null;
  readonly incarnation: number | null;
  readonly fencingToken: number;
  readonly ttlMs: number;
  readonly acquiredAtMs: number;
  /** The end of the TTL while the lock is held, else null. */
  readonly expiresAtMs: number | null;
  /** Extensions since the last renewal, see liveness.ts. */
  readonly extensions: number;
  /** The last releases by holders, the latest last: a repeated release gets the answer of the first. */
  readonly releases: readonly ReleasedGrant[];
  /** Not to be granted before this instant (`lock_delay_seconds` after a failure or expiry); null if at once. */
  readonly grantableAtMs: number | null;
};

export type HeldLock = LockRecord & { readonly holder: string };

export const isHeld = (lock: LockRecord | undefined): lock is HeldLock =>
  lock !== undefined && lock.holder !== null;

export type Grant = {
  resource: string;
  holder: string;
  incarnation: number;
  fencingToken: number;
  ttlMs: number;
};

export function granted(grant: Grant, previous: LockRecord | undefined, nowMs: number): HeldLock {
  return {
    ...grant,
    acquiredAtMs: nowMs,
    expiresAtMs: nowMs + grant.ttlMs,
    extensions: 0,
    releases: previous?.releases ?? [],
    grantableAtMs: null,
  };
}

export function renewed(lock: LockRecord, ttlMs: number, nowMs: number): LockRecord {
  return { ...lock, ttlMs, expiresAtMs: nowMs + ttlMs, extensions: 0 };
}

export function released(lock: HeldLock): LockRecord {
  const { holder, fencingToken, ttlMs, acquiredAtMs } = lock;
  const releases = [...lock.releases, { holder, fencingToken, ttlMs, acquiredAtMs }].slice(-RELEASES_KEPT);
  return { ...lock, holder: null, incarnation: null, expiresAtMs: null, releases };
}

/** The grant with that token, if its holder has released it and the lock remembers it. */
export function releaseOf(lock: LockRecord, fencingToken: number): ReleasedGrant | undefined {
  return lock.releases.find((release) => release.fencingToken === fencingToken);
}

/** How a lock ends without a release by its holder. */
export type LockEnding = "expired" | "holder_failed" | "holder_unregistered" | "broken";

/** A holder that unregisters works on nothing any more; any other may, so the next grant waits for the delay. */
const IS_DELAYED: Record<LockEnding, boolean> = {
  expired: true,
  holder_failed: true,
  holder_unregistered: false,
  broken: true,
};

/** `lockDelayMs`: `lock_delay_seconds` of the configuration. */
export type HowEnded = { ending: LockEnding; lockDelayMs: number };

export function ended(lock: LockRecord, { ending, lockDelayMs }: HowEnded, nowMs: number): LockRecord {
  const delayMs = IS_DELAYED[ending] ? lockDelayMs : 0;
  return {
    ...lock,
    holder: null,
    incarnation: null,
    expiresAtMs: null,
    grantableAtMs: delayMs > 0 ? nowMs + delayMs : null,
  };
}

/** After our own outage: the TTL starts again, at most twice between two renewals. */
export function extendedLock(lock: LockRecord, nowMs: number): LockRecord {
  if (lock.expiresAtMs === null || lock.extensions >= MAX_EXTENSIONS) return lock;
  return {
    ...lock,
    expiresAtMs: Math.max(lock.expiresAtMs, nowMs + lock.ttlMs),
    extensions: lock.extensions + 1,
  };
}

/** An agent in the queue for a lock. */
export type LockWaiter = {
  /** The queue position: the first waiter has the smallest. */
  readonly position: number;
  readonly resource: string;
  readonly agentId: string;
  readonly incarnation: number;
  /** Of the grant, when its turn comes. */
  readonly ttlMs: number;
  /** How long the agent asked to wait, and until when that is. */
  readonly waitMs: number;
  readonly endsAtMs: number;
  /** Extensions of this wait, see liveness.ts. */
  readonly extensions: number;
  /** Of the frame that waits for the answer; null for an HTTP call, which asks again. */
  readonly requestId: string | null;
};

/** The agent asks again, and keeps its queue position. */
export function requeued(
  waiter: LockWaiter,
  request: Pick<LockWaiter, "ttlMs" | "waitMs" | "requestId">,
  nowMs: number,
): LockWaiter {
  return {
    ...waiter,
    ttlMs: request.ttlMs,
    waitMs: request.waitMs,
    endsAtMs: Math.max(waiter.endsAtMs, nowMs + request.waitMs),
    extensions: 0,
    requestId: request.requestId ?? waiter.requestId,
  };
}

/** After our own outage: the wait starts again, so that the agent can ask again and keep its position; at most twice. */
export function extendedWaiter(waiter: LockWaiter, nowMs: number): LockWaiter {
  if (waiter.extensions >= MAX_EXTENSIONS) return waiter;
  return {
    ...waiter,
    endsAtMs: Math.max(waiter.endsAtMs, nowMs + waiter.waitMs),
    extensions: waiter.extensions + 1,
  };
}
