/** Locks on the wire. */
import * as z from "zod";
import { Id, Instant, pageOf, ResourceId } from "./common.ts";

/** Seconds a grant lasts unless renewed; `lock_config.max_ttl_seconds` bounds it further. */
export const LockTtlSeconds = z.number().min(0.1).max(86_400);

/** Seconds that somebody waits in line for a lock; 0 gives up the place that it has, left out it is kept. */
export const LockWaitSeconds = z.number().min(0).max(30);

export const LockAcquisition = z
  .strictObject({
    agent_id: Id,
    ttl_seconds: LockTtlSeconds.optional(),
    wait_seconds: LockWaitSeconds.optional().meta({
      description:
        "Waits in line, first come first served. 0: not at all, and the place that the agent has in line is given up.",
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
    fencing_token: z.int().meta({ description: "Strictly grows at every new grant, for ever." }),
    ttl_seconds: z.number(),
    acquired_at: Instant,
    expires_at: Instant.nullable(),
    waiters: z.array(Id).meta({ description: "Who waits for it, in the order in which they came." }),
  })
  .meta({ id: "Lock" });
export type Lock = z.infer<typeof Lock>;

export const LockAnswer = z.object({ lock: Lock });
export const LockPage = pageOf(Lock);
