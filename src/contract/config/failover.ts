/** The section `failover_config`: what happens to the tasks of an agent that failed. */
import * as z from "zod";
import { Id, MAX_BACKUPS } from "../common.ts";
import type { PriorityLevel } from "../placement/decision.ts";
import { contradicts, DAY_SECONDS, HINTS, hasNoDuplicates, seconds } from "./values.ts";

const FAILOVER_STRATEGY_TYPES = ["failover", "backup_agent"] as const;

/** Agents in one list or map. */
const MAX_NAMED_AGENTS = 1000;

const priority = (level: z.infer<typeof PriorityLevel>, value: number, meaning: string) =>
  z
    .int()
    .min(0)
    .max(10)
    .default(value)
    .meta({ unit: "priority", description: `Lowest priority of the level ${level}. ${meaning}` });

const weight = (description: string) =>
  z
    .number()
    .min(0)
    .max(1000)
    .nullable()
    .default(null)
    .meta({ unit: "weight", description: `${description} null: the strategy's own weight.` });

const LevelWeights = z
  .strictObject({
    reliability: weight("Weight of the agent's reliability."),
    capability: weight("Weight of the agent's success rate at the task's type."),
    load: weight("Weight of the agent's free slots."),
    performance: weight("Weight of the agent's speed at the task's type, compared with the cluster."),
  })
  // The strategy's own weights are all above 0.
  .refine((weights) => Object.values(weights).some((value) => value === null || value > 0), {
    message: "at least one weight must be above 0",
  });

const levelWeights = (level: z.infer<typeof PriorityLevel>) =>
  LevelWeights.nullable()
    .default(null)
    .meta({
      description: `Weights for tasks of ${level} priority. A factor that is left out keeps its weight. null: the strategy's own weights.`,
    });

const StrategyType = z
  .enum(FAILOVER_STRATEGY_TYPES)
  .register(HINTS, { hint: 'for the strategy "basic" set `use_failover_strategy` to false' });

const BackupsOfAgent = z.union([Id, z.array(Id).max(MAX_BACKUPS).refine(hasNoDuplicates)], {
  error: `must be an agent id, or a list of at most ${MAX_BACKUPS} different agent ids`,
});

export const FailoverConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether the tasks of a failed agent are reassigned. If false, failures are recorded and notified, tasks stay, and locks end by their TTL.",
  }),
  priority_based_reassignment: z.boolean().default(true).meta({
    description:
      "If true, a failed agent's tasks with the highest priority are reassigned first. If false, the oldest.",
  }),
  preserve_task_priority: z.boolean().default(true).meta({
    description:
      "Whether a task keeps its priority when it is reassigned. If false, it loses one step at each reassignment.",
  }),
  max_reassignment_attempts: z.int().min(0).max(100).default(3).meta({
    unit: "reassignments",
    description: "How often failures may cause a reassignment of one task. After that the task is failed.",
  }),
  critical_agents: z.array(Id).max(MAX_NAMED_AGENTS).default([]).meta({
    description:
      "Agents whose failures are `critical` and whose tasks are reassigned first. Readiness warns if one has no backup.",
  }),
  backup_agents: z
    .record(Id, BackupsOfAgent)
    .refine((map) => Object.keys(map).length <= MAX_NAMED_AGENTS, {
      message: `must have at most ${MAX_NAMED_AGENTS} entries`,
    })
    .superRefine((map, context) => {
      for (const [agent, backups] of Object.entries(map)) {
        if (![backups].flat().includes(agent)) continue;
        context.addIssue({ code: "custom", path: [agent], message: "an agent cannot be its own backup" });
      }
    })
    .default({})
    .meta({
      maxProperties: MAX_NAMED_AGENTS,
      description: `Backups of each agent: the agent that takes over its tasks, or up to ${MAX_BACKUPS} agents in order.`,
    }),
  use_failover_strategy: z.boolean().default(true).meta({
    description:
      "If true, `failover_strategy_type` chooses the agent. If false, the strategy `basic`: configured backups, then capability, then least load.",
  }),
  failover_strategy_type: StrategyType.default("failover").meta({
    description:
      "`failover` scores agents by reliability, capability, load and performance. `backup_agent` assigns backups to each task in advance.",
  }),
  backup_strategy_count: z.int().min(0).max(MAX_BACKUPS).default(2).meta({
    unit: "agents",
    description: "Number of backups that `backup_agent` keeps for each task.",
  }),
  reliability_threshold: z.number().min(0).max(1).default(0.8).meta({
    unit: "fraction",
    description:
      "An agent with a lower reliability gets a high-priority task only if no other agent can take it. The strategy `basic` ignores this.",
  }),
  task_priority_levels: z
    .strictObject({
      high: priority("high", 8, "Must be above `medium`."),
      medium: priority("medium", 5, "Must be above `low`."),
      low: priority("low", 2, "Lower priorities have this level too."),
    })
    .superRefine(({ high, medium, low }, context) => {
      contradicts(context, high <= medium, ["high", `must be above \`medium\` (${medium})`]);
      contradicts(context, medium <= low, ["medium", `must be above \`low\` (${low})`]);
    })
    .prefault({})
    .meta({ description: "Which priorities (0 to 10) count as high, medium and low." }),
  failure_cooldown_period: seconds(0, 7 * DAY_SECONDS)
    .default(300)
    .meta({
      unit: "seconds",
      description:
        "After a failure, an agent that has returned is chosen for this long only if no other agent can take the task.",
    }),
  weights: z
    .strictObject({
      high: levelWeights("high"),
      medium: levelWeights("medium"),
      low: levelWeights("low"),
    })
    .prefault({})
    .meta({
      description:
        "Weights of the factors in a score, by the task's priority level. The strategy `basic` ignores them.",
    }),
});
