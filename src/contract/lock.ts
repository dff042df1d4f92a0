/** Locks on the wire. */
import * as z from "zod";
import { Id, Instant, pageOf, ResourceId } from "./common.ts";

/** TTL of a grant; `lock_config.max_ttl_seconds` sets a lower limit. */
export const LockTtlSeconds = z.number().min(0.1).max(86_400);

/** Time that a caller waits for a lock. 0 gives up the position in the queue; if left out, the position is kept. */
export const LockWaitSeconds = z.number().min(0).max(30);

export const LockAcquisition = z
  .strictObject({
    agent_id: Id,
    ttl_seconds: LockTtlSeconds.optional(),
    wait_seconds: LockWaitSeconds.optional().meta({
      description:
        "Waits in the queue of the lock, first in, first out. 0: does not wait, and the agent gives up its position in the queue.",
    }),
  })
  .meta({ id: "LockAcquisition" });
export type LockAcquisition = z.infer<typeof LockAcquisition>;

export const LockProof = z.strictObject({ fencing_token: z.int().min(1) }).meta({ id: "LockProof" });
export type LockProof = z.infer<typeof LockProof>;

export const Lock = z
  .object({
    resource: ResourceId,
    group: Id,
    holder: Id.nullable(),
    incarnation: z.int().nullable(),
    fencing_token: z.int().meta({ description: "Grows at every new grant and never starts again." }),
    ttl_seconds: z.number(),
    acquired_at: Instant,
    expires_at: Instant.nullable(),
    waiters: z.array(Id).meta({ description: "Agents in the queue, the next one first." }),
  })
  .meta({ id: "Lock" });
export type Lock = z.infer<typeof Lock>;

export const LockAnswer = z.object({ lock: Lock });
export const LockPage = pageOf(Lock);
