/** A lock's record as the wire shows it. */

import { instant, instantOrNull } from "../../../contract/instant.ts";
import type { Lock } from "../../../contract/lock.ts";
import type { LockRecord, LockWaiter } from "../../../domain/lock.ts";

/** @param waiters who waits for it, in order */
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
