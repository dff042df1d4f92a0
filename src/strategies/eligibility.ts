/**
 * Who may take a task at all. Hard reasons always exclude; soft ones only while somebody
 * without them is left.
 */
import type { ExclusionReason } from "../contract/decision.ts";
import type { Candidate, DecisionContext, PlaceableTask } from "./strategy.ts";

export type Exclusion = { reason: ExclusionReason; detail: string };

/** Why this candidate can never take this task now, or null. The first reason that applies. */
export function hardExclusion(task: PlaceableTask, candidate: Candidate): Exclusion | null {
  if (candidate.status !== "active") {
    return { reason: candidate.status, detail: `it is ${candidate.status}` };
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

/** Why this candidate is passed over while another one is left, or null. The gravest reason that applies. */
export function softExclusion(
  task: PlaceableTask,
  candidate: Candidate,
  { nowMs }: DecisionContext,
): Exclusion | null {
  if (task.previousAgents.includes(candidate.id)) {
    return { reason: "previous_agent", detail: "it had this task before" };
  }
  if (candidate.cooldownUntilMs !== null && candidate.cooldownUntilMs > nowMs) {
    const leftSeconds = Math.ceil((candidate.cooldownUntilMs - nowMs) / 1000);
    return { reason: "cooling_down", detail: `it failed lately and cools down for another ${leftSeconds} s` };
  }
  return null;
}
