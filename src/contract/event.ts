/** Events on the wire: the changes in a cluster, numbered in order. */
import * as z from "zod";
import { Instant, JsonValue } from "./common.ts";

export const Event = z
  .object({
    id: z.int().meta({ description: "A growing number. Send it as `Last-Event-ID` to resume the stream." }),
    at: Instant.meta({
      description:
        "When it happened. An event that another object reports late has a greater id and an earlier time.",
    }),
    type: z.string().meta({ description: "Such as `agent.inactive`, `task.assigned`, `lock.expired`." }),
    subject: z.string().meta({ description: "The id of the agent, task, lock or other thing that changed." }),
    data: z.record(z.string(), JsonValue),
  })
  .meta({ id: "Event" });
export type Event = z.infer<typeof Event>;

/** An event before it has its number. */
export type EventDraft = { type: string; subject: string; data: Record<string, z.core.util.JSONType> };
