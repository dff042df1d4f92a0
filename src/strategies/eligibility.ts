/**
 * Which agents may take a task. A hard reason always excludes an agent; a soft reason only while an agent without one
 * is left.
 */
import type { ExclusionReason } from "../contract/placement/decision.ts";
import { reliabilityOf } from "../domain/reliability.ts";
import {
  type Candidate,
  type DecisionContext,
  type PlaceableTask,
  priorityLevel,
  type SoftReason,
  type TaskNeeds,
} from "./strategy.ts";

export type Exclusion = { reason: ExclusionReason; detail: string };

/** Why this candidate cannot take this task now, whether or not there are others; null if it can. The first reason that applies. */
export function hardExclusion(task: TaskNeeds, candidate: Candidate): Exclusion | null {
  if (candidate.status !== "active") {
    const detail = candidate.status === "suspect" ? "its socket broke" : `it is ${candidate.status}`;
    return { reason: candidate.status, detail };
  }
  if (task.group !== null && candidate.group !== task.group) {
    return {
      reason: "other_group",
      detail: `it is in group ${candidate.group}, the task wants ${task.group}`,
    };
  }
  if (!candidate.capabilities.includes(task.type)) {
    return { reason: "missing_capability", detail: `it cannot do ${task.type}` };
  }
  for (const [label, value] of Object.entries(task.requiredLabels)) {
    if (candidate.labels[label] !== value) {
      return { reason: "missing_label", detail: `its label ${label} is not ${value}` };
    }
  }
  if (candidate.openTasks >= candidate.maxConcurrentTasks) {
    return {
      reason: "at_capacity",
      detail: `it holds ${candidate.openTasks} of ${candidate.maxConcurrentTasks} tasks`,
    };
  }
  return null;
}

/** Each soft reason: its detail in words if the reason applies, else null. */
const SOFT_DETAILS: Readonly<
  Record<SoftReason, (task: PlaceableTask, candidate: Candidate, context: DecisionContext) => string | null>
> = {
  silent: (_, { silentUntilMs }, { nowMs }) =>
    silentUntilMs !== null && silentUntilMs > nowMs ? "it has missed heartbeats and may be dead" : null,

  previous_agent: (task, candidate) =>
    task.previousAgents.includes(candidate.id) ? "it had this task before" : null,

  cooling_down: (_, { cooldownUntilMs }, { nowMs }) =>
    cooldownUntilMs !== null && cooldownUntilMs > nowMs
      ? `it failed lately and cools down for another ${Math.ceil((cooldownUntilMs - nowMs) / 1000)} s`
      : null,

  below_reliability_threshold: (task, { reliabilityHistory }, { config, nowMs }) => {
    if (priorityLevel(task.priority, config.task_priority_levels) !== "high") return null;
    const reliability = reliabilityOf(reliabilityHistory, nowMs);
    return reliability < config.reliability_threshold
      ? `its reliability ${reliability.toFixed(2)} is below ${config.reliability_threshold}, too low for a high priority`
      : null;
  },
};

/** Why the strategy avoids this candidate while another one is left, or null. The gravest reason that applies. */
export function softExclusion(
  task: PlaceableTask,
  candidate: Candidate,
  context: DecisionContext,
): { reason: SoftReason; detail: string } | null {
  const { softReasons } = context.strategy;
  for (let index = softReasons.length - 1; index >= 0; index--) {
    const reason = softReasons[index];
    const detail = reason === undefined ? null : SOFT_DETAILS[reason](task, candidate, context);
    if (reason !== undefined && detail !== null) return { reason, detail };
  }
  return null;
}
