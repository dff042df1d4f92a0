/** Placement decisions on the wire: each explains why a task went to an agent, or to none. */
import * as z from "zod";
import { Id, Instant, pageOf } from "../common.ts";

export const STRATEGY_NAMES = ["basic", "failover", "backup_agent"] as const;
export const StrategyName = z.enum(STRATEGY_NAMES);
export type StrategyName = z.infer<typeof StrategyName>;

export const PRIORITY_LEVELS = ["high", "medium", "low"] as const;
export const PriorityLevel = z.enum(PRIORITY_LEVELS);
export type PriorityLevel = z.infer<typeof PriorityLevel>;

export const DECISION_REASONS = [
  "submitted",
  "agent_failed",
  "agent_drained",
  "agent_unregistered",
  "agent_reregistered",
  "agent_restarted",
  "task_failed",
  "task_timed_out",
  "capacity_freed",
  "operator",
] as const;
export const DecisionReason = z.enum(DECISION_REASONS);
export type DecisionReason = z.infer<typeof DecisionReason>;

export const EXCLUSION_REASONS = [
  "inactive",
  "suspect",
  "silent",
  "draining",
  "missing_capability",
  "missing_label",
  "other_group",
  "at_capacity",
  "cooling_down",
  "below_reliability_threshold",
  "previous_agent",
] as const;
export const ExclusionReason = z.enum(EXCLUSION_REASONS);
export type ExclusionReason = z.infer<typeof ExclusionReason>;

export const RankedCandidate = z.object({
  agent_id: Id,
  score: z.number().meta({ description: "The sum of all factors, each multiplied by its weight." }),
  factors: z.record(z.string(), z.number()).meta({ description: "Each factor is between 0 and 1." }),
});

export const Exclusion = z.object({ agent_id: Id, reason: ExclusionReason, detail: z.string() });

export const Decision = z
  .object({
    id: z.string(),
    at: Instant,
    task_id: Id,
    attempt: z.int(),
    reason: DecisionReason,
    strategy: StrategyName,
    priority_level: PriorityLevel,
    from_agent: Id.nullable(),
    selected: Id.nullable(),
    explanation: z.string().meta({ description: "The reason in one English sentence." }),
    weights: z.record(z.string(), z.number()),
    candidates: z.array(RankedCandidate).meta({ description: "The best 5 candidates, the best first." }),
    candidate_count: z.int(),
    excluded: z
      .array(Exclusion)
      .meta({ description: "At most 20 excluded agents; `excluded_counts` counts all." }),
    excluded_counts: z.partialRecord(ExclusionReason, z.int()),
  })
  .meta({ id: "Decision" });
export type Decision = z.infer<typeof Decision>;

export const DecisionPage = pageOf(Decision);
