/**
 * `failover` (the default): several factors, weighted by the priority level of the task. The weights of each level sum
 * to 1, so a score is in 0..1 too. Backups that are named for the task or for the failed agent come before all factors.
 */
import type { PriorityLevel } from "../contract/placement/decision.ts";
import { designatedBackups, withList, withPosition } from "./designated.ts";
import { capabilityFactor, loadFactor, performanceFactor, reliabilityFactor } from "./factors.ts";
import {
  type Candidate,
  type DecisionContext,
  type Factors,
  type PlaceableTask,
  priorityLevel,
  type Strategy,
  type Weights,
} from "./strategy.ts";

/**
 * - high: the task must not fail again, so reliability decides and load hardly matters.
 * - medium: an agent that does this type well and has free slots.
 * - low: an agent that has free slots; the best agents are kept free for urgent tasks.
 */
export const DEFAULT_WEIGHTS: Readonly<Record<PriorityLevel, Weights>> = {
  high: { reliability: 0.7, capability: 0.15, load: 0.05, performance: 0.1 },
  medium: { reliability: 0.1, capability: 0.4, load: 0.4, performance: 0.1 },
  low: { reliability: 0.05, capability: 0.05, load: 0.85, performance: 0.05 },
};

export const failover: Strategy = {
  name: "failover",
  summary: "reliability, capability, load and performance, weighed by the task's priority",
  softReasons: ["below_reliability_threshold", "cooling_down", "previous_agent", "silent"],

  weights(task, context) {
    return withList(designatedBackups(task, context), levelWeights(task, context));
  },

  factors(task, candidate, context) {
    return withPosition(
      designatedBackups(task, context),
      candidate.id,
      rankingFactors(task, candidate, context),
    );
  },
};

/** The weights of the task's level: each as configured, else the default. */
export function levelWeights(task: PlaceableTask, { config }: DecisionContext): Weights {
  const level = priorityLevel(task.priority, config.task_priority_levels);
  const own = DEFAULT_WEIGHTS[level];
  const configured: Readonly<Record<string, number | null>> = config.weights[level] ?? {};
  return Object.fromEntries(
    Object.entries(own).map(([factor, weight]) => [factor, configured[factor] ?? weight]),
  );
}

/** The factors of a candidate apart from any list of backups. */
export function rankingFactors(task: PlaceableTask, candidate: Candidate, context: DecisionContext): Factors {
  return {
    reliability: reliabilityFactor(candidate, context),
    capability: capabilityFactor(task, candidate, context),
    load: loadFactor(candidate),
    performance: performanceFactor(task, candidate, context),
  };
}
