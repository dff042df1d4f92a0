/** Failures tried before they happen, on the wire: what-if, and single points of failure. */
import * as z from "zod";
import { Id } from "./common.ts";
import { Decision } from "./decision.ts";
import { TaskStatus } from "./task.ts";

export const FailoverSimulation = z
  .strictObject({
    agents: z.array(Id).max(1000).default([]),
    groups: z.array(Id).max(100).default([]).meta({ description: "Every live agent of these groups." }),
  })
  .refine(({ agents, groups }) => agents.length + groups.length > 0, {
    message: "name at least one agent or group",
  })
  .meta({ id: "FailoverSimulation" });
export type FailoverSimulation = z.infer<typeof FailoverSimulation>;

export const SimulatedFailover = z
  .object({
    tasks: z.array(
      z.object({
        task_id: Id,
        from: Id,
        to: Id.nullable().meta({ description: "Null if nobody could take it." }),
        status: TaskStatus.meta({ description: "How the task would stand." }),
        decision: Decision.nullable(),
      }),
    ),
    stranded: z.array(Id),
    load_after: z.array(z.object({ agent_id: Id, task_count: z.int(), max_concurrent_tasks: z.int() })),
  })
  .meta({ id: "SimulatedFailover" });
export type SimulatedFailover = z.infer<typeof SimulatedFailover>;

export const Readiness = z
  .object({
    ready: z.boolean().meta({ description: "Nothing below was found." }),
    single_capabilities: z
      .array(z.object({ capability: z.string(), agent_id: Id }))
      .meta({ description: "Capabilities that one active agent alone has." }),
    tasks_without_backup: z.object({
      count: z.int(),
      task_ids: z.array(Id).meta({ description: "The first few." }),
    }),
    critical_agents_without_backup: z.array(z.object({ agent_id: Id, detail: z.string() })),
    groups_at_risk: z.array(
      z.object({
        group: Id,
        stranded_tasks: z.int().meta({ description: "Tasks nobody outside the group could do." }),
        slots_short: z.int().meta({ description: "Tasks beyond the free slots of those outside." }),
      }),
    ),
    free_slots: z.int(),
    slots_short: z.int().meta({ description: "Slots missing if the agent with the most tasks failed." }),
  })
  .meta({ id: "Readiness" });
export type Readiness = z.infer<typeof Readiness>;
