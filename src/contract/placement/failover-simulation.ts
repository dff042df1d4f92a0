/** Simulated failovers and the readiness report on the wire. */
import * as z from "zod";
import { Id, ResourceId } from "../common.ts";
import { TaskStatus } from "../task.ts";
import { Decision } from "./decision.ts";

export const FailoverSimulation = z
  .strictObject({
    agents: z.array(Id).max(1000).default([]),
    groups: z.array(Id).max(100).default([]).meta({ description: "Every live agent of these groups fails." }),
  })
  .refine(({ agents, groups }) => agents.length + groups.length > 0, {
    message: "must name at least one agent or group",
  })
  .meta({ id: "FailoverSimulation" });
export type FailoverSimulation = z.infer<typeof FailoverSimulation>;

/** Locks named in a simulation; the count includes the others. */
export const LOCKS_NAMED = 1000;

export const SimulatedFailover = z
  .object({
    agents: z.array(z.object({ agent_id: Id, group: Id })).meta({
      description: "The agents that would fail: those named that are live.",
    }),
    tasks: z.array(
      z.object({
        task_id: Id,
        from: Id,
        to: Id.nullable().meta({ description: "Null if no agent could take the task." }),
        status: TaskStatus.meta({ description: "The status that the task would have." }),
        decision: Decision.nullable(),
      }),
    ),
    stranded: z.array(Id).meta({ description: "Tasks that would be left without a live agent." }),
    failed: z.array(Id).meta({ description: "Tasks that would be failed, reassigned too often." }),
    locks_released: z
      .array(
        z.object({
          resource: ResourceId,
          group: Id,
          holder: Id,
          next_holder: Id.nullable().meta({ description: "The next waiter that would not fail." }),
        }),
      )
      .meta({ description: `The first ${LOCKS_NAMED}; \`locks_released_count\` counts all.` }),
    locks_released_count: z.int(),
    load_after: z.array(z.object({ agent_id: Id, task_count: z.int(), max_concurrent_tasks: z.int() })),
  })
  .meta({ id: "SimulatedFailover" });
export type SimulatedFailover = z.infer<typeof SimulatedFailover>;

export const Readiness = z
  .object({
    ready: z.boolean().meta({ description: "True if there is no finding below." }),
    missing: z.array(z.string()).meta({
      description: "What tasks need now and the cluster lacks, each in one sentence.",
    }),
    single_capabilities: z
      .array(z.object({ capability: z.string(), agent_id: Id }))
      .meta({ description: "Capabilities that only one active agent has." }),
    tasks_without_backup: z.object({
      count: z.int(),
      task_ids: z.array(Id).meta({ description: "The first of these tasks." }),
    }),
    critical_agents_without_backup: z.array(z.object({ agent_id: Id, detail: z.string() })),
    groups_at_risk: z.array(
      z.object({
        group: Id,
        stranded_tasks: z.int().meta({ description: "Tasks that no agent outside the group could do." }),
        slots_short: z
          .int()
          .meta({ description: "Tasks for which the agents outside the group have no free slot." }),
      }),
    ),
    configuration_warnings: z.array(z.object({ path: z.string(), message: z.string() })).meta({
      description:
        "Secrets that the configuration names and the environment does not have. They do not change `ready`.",
    }),
    free_slots: z.int(),
    slots_short: z
      .int()
      .meta({ description: "Slots that would be missing if the agent with the most tasks failed." }),
  })
  .meta({ id: "Readiness" });
export type Readiness = z.infer<typeof Readiness>;

/** What the coordinator knows of it; the Worker knows the environment. */
export type SinglePoints = Omit<Readiness, "configuration_warnings">;
