/**
 * `failover` (the default): several factors at once, weighed by how urgent the task is. The
 * weights of each level sum to 1, so a score is in 0..1 too. Backups that somebody named,
 * for the task or for the failed agent, come before all of them.
 */
import type { PriorityLevel } from "../contract/decision.ts";
import { designatedBackups, withList, withPlace } from "./designated.ts";
import { capabilityFactor, loadFactor, performanceFactor, reliabilityFactor } from "./factors.ts";
import { priorityLevel } from "./priority-level.ts";
import type { Candidate, DecisionContext, Factors, PlaceableTask, Strategy, Weights } from "./strategy.ts";

/**
 * - high: it must not fail again, so reliability decides and load hardly matters.
 * - medium: who does this well and has room.
 * - low: whoever has room; the good agents are kept free for what is urgent.
 */
export const DEFAULT_WEIGHTS: Readonly<Record<PriorityLevel, Weights>> = {
  high: { reliability: 0.7, capability: 0.15, load: 0.05, performance: 0.1 },
  medium: { reliability: 0.1, capability: 0.4, load: 0.4, performance: 0.1 },
  low: { reliability: 0.05, capability: 0.05, load: 0.85, performance: 0.05 },
};

export const failover: Strategy = {
  name: "failover",
  summary: "reliability, capability, load and performance, weighed by the task's priority",
  heeds: ["below_reliability_threshold", "cooling_down", "previous_agent", "silent"],

  weights(task, context) {
    return withList(designatedBackups(task, context), levelWeights(task, context));
  },

  factors(task, candidate, context) {
    return withPlace(designatedBackups(task, context), candidate.id, merits(task, candidate, context));
  },
};

/** The configured weights of the task's level, else the defaults. */
export function levelWeights(task: PlaceableTask, { config }: DecisionContext): Weights {
  const level = priorityLevel(task.priority, config.task_priority_levels);
  return config.weights[level] ?? DEFAULT_WEIGHTS[level];
}

/** What speaks for a candidate apart from any list. */
export function merits(task: PlaceableTask, candidate: Candidate, context: DecisionContext): Factors {
  return {
    reliability: reliabilityFactor(candidate, context),
    capability: capabilityFactor(task, candidate, context),
    load: loadFactor(candidate),
    performance: performanceFactor(task, candidate, context),
  };
}
