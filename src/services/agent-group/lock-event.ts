/** What the cluster's log says of a lock that ended against its holder's will. */
import type { EventDraft } from "../../contract/event.ts";
import type { LockRecord } from "../../domain/lock.ts";

export function lockEvent(type: string, lock: LockRecord): EventDraft {
  return {
    type,
    subject: lock.resource,
    data: { holder: lock.holder, fencing_token: lock.fencingToken },
  };
}
