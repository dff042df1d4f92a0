/** Events on the wire: what changed in a cluster, in order, resumable by number. */
import * as z from "zod";
import { Instant, JsonValue } from "./common.ts";

export const Event = z
  .object({
    id: z.int().meta({ description: "Grows; resume with it as `Last-Event-ID`." }),
    at: Instant.meta({
      description:
        "When it happened. An event that another object reports late has a greater id and an earlier time.",
    }),
    type: z.string().meta({ description: "Such as `agent.inactive`, `task.assigned`, `lock.expired`." }),
    subject: z.string().meta({ description: "The id of what changed." }),
    data: z.record(z.string(), JsonValue),
  })
  .meta({ id: "Event" });
export type Event = z.infer<typeof Event>;

/** An event before it has its number. */
export type EventDraft = { type: string; subject: string; data: Record<string, z.core.util.JSONType> };
