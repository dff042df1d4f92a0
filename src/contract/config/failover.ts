/** The section `failover_config`: what happens to the tasks of an agent that failed. */
import * as z from "zod";
import { Id, MAX_BACKUPS } from "../common.ts";
import type { PriorityLevel } from "../decision.ts";
import { DAY_SECONDS, hasNoDuplicates, seconds } from "./values.ts";

const FAILOVER_STRATEGY_TYPES = ["failover", "backup_agent"] as const;

/** Agents that may be named in one list or map: a group of agents that all deserve a name of their own. */
const MAX_NAMED_AGENTS = 1000;

const priority = (level: z.infer<typeof PriorityLevel>, value: number, meaning: string) =>
  z
    .int()
    .min(0)
    .max(10)
    .default(value)
    .meta({ unit: "priority", description: `Lowest priority that counts as ${level}. ${meaning}` });

const weight = (description: string) =>
  z.number().min(0).max(1000).default(0).meta({ unit: "weight", description });

const LevelWeights = z
  .strictObject({
    reliability: weight("Weight of the agent's reliability."),
    capability: weight("Weight of how well the agent has done the task's type."),
    load: weight("Weight of the agent's free capacity."),
    performance: weight("Weight of how fast the agent has done the task's type, against the others."),
  })
  .refine((weights) => Object.values(weights).some((value) => value > 0), {
    message: "at least one weight must be above 0",
  });

const levelWeights = (level: z.infer<typeof PriorityLevel>) =>
  LevelWeights.nullable()
    .default(null)
    .meta({
      description: `Weights for tasks of ${level} priority, each factor left out counting 0; null: the strategy's own.`,
    });

const BackupsOfAgent = z.union([Id, z.array(Id).max(MAX_BACKUPS).refine(hasNoDuplicates)], {
  error: `must be an agent id, or a list of at most ${MAX_BACKUPS} different agent ids`,
});

export const FailoverConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether the tasks of a failed agent move. When false, failures are recorded and told, tasks stay, locks end by their TTL.",
  }),
  priority_based_reassignment: z.boolean().default(true).meta({
    description: "Whether the most urgent tasks of a failed agent move first; otherwise the oldest do.",
  }),
  preserve_task_priority: z.boolean().default(true).meta({
    description: "Whether a task keeps its priority when it moves; otherwise it loses one step at each move.",
  }),
  max_reassignment_attempts: z.int().min(0).max(100).default(3).meta({
    unit: "moves",
    description: "How often a task may move because of failures; past it the task is failed.",
  }),
  critical_agents: z.array(Id).max(MAX_NAMED_AGENTS).default([]).meta({
    description:
      "Agents whose failures are `critical` and whose tasks move first; one without a backup is a readiness warning.",
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
      description: `For an agent, who takes its tasks over: one agent id, or up to ${MAX_BACKUPS} in order.`,
    }),
  use_failover_strategy: z.boolean().default(true).meta({
    description:
      "Whether an advanced strategy chooses; otherwise the basic one: named backups, then capability, then least load.",
  }),
  failover_strategy_type: z.enum(FAILOVER_STRATEGY_TYPES).default("failover").meta({
    description:
      "The advanced strategy: `failover` scores by reliability, capability, load and performance; `backup_agent` gives each task its backups in advance.",
  }),
  backup_strategy_count: z.int().min(0).max(MAX_BACKUPS).default(2).meta({
    unit: "agents",
    description: "Backups that `backup_agent` keeps for each task.",
  }),
  reliability_threshold: z.number().min(0).max(1).default(0.8).meta({
    unit: "fraction",
    description:
      "Reliability below which an agent takes no high-priority task while another agent can take it. The basic strategy does not heed it.",
  }),
  task_priority_levels: z
    .strictObject({
      high: priority("high", 8, "Above `medium`."),
      medium: priority("medium", 5, "Above `low`."),
      low: priority("low", 2, "What is below counts as low too."),
    })
    .refine((levels) => levels.high > levels.medium, {
      path: ["high"],
      message: "must be above `medium`",
    })
    .refine((levels) => levels.medium > levels.low, {
      path: ["medium"],
      message: "must be above `low`",
    })
    .prefault({})
    .meta({ description: "Which priorities (0 to 10) count as high, medium and low." }),
  failure_cooldown_period: seconds(0, 7 * DAY_SECONDS)
    .default(300)
    .meta({
      unit: "seconds",
      description: "How long after its failure a returned agent is chosen only when nobody else can.",
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
        "Weights of the factors in a score, by the task's priority level; the basic strategy has its own.",
    }),
});
