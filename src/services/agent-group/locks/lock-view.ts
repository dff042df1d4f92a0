/** A lock as callers see it, and as an event in the log of the cluster. */

import type { EventDraft } from "../../../contract/event.ts";
import { instant, instantOrNull } from "../../../contract/instant.ts";
import type { Lock } from "../../../contract/lock.ts";
import type { LockRecord, LockWaiter } from "../../../domain/lock.ts";

/** @param waiters of the lock, in order */
export function lockView(lock: LockRecord, group: string, waiters: readonly LockWaiter[]): Lock {
  return {
    resource: lock.resource,
    group,
    holder: lock.holder,
    incarnation: lock.incarnation,
    fencing_token: lock.fencingToken,
    ttl_seconds: lock.ttlMs / 1000,
    acquired_at: instant(lock.acquiredAtMs),
    expires_at: instantOrNull(lock.expiresAtMs),
    waiters: waiters.map(({ agentId }) => agentId),
  };
}

/** Reports a lock that ended against its holder's will. */
export function lockEvent(type: "lock.expired" | "lock.broken", lock: LockRecord): EventDraft {
  return {
    type,
    subject: lock.resource,
    data: { holder: lock.holder, fencing_token: lock.fencingToken },
  };
}
