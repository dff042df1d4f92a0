/** The record of a decision: what was chosen for a task, and why. */

import { instant } from "../../../contract/instant.ts";
import type { Decision, DecisionReason } from "../../../contract/placement/decision.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { Verdict } from "../../../strategies/strategy.ts";

export type DecisionFacts = {
  /** The task after the decision: its attempt, and the number of its decisions. */
  task: TaskRecord;
  verdict: Verdict;
  reason: DecisionReason;
  /** The agent that the task was taken from. */
  fromAgent: string | null;
};

export function decisionRecord({ task, verdict, reason, fromAgent }: DecisionFacts, nowMs: number): Decision {
  return {
    id: `${task.id}:${task.decisionCount}`,
    at: instant(nowMs),
    task_id: task.id,
    attempt: task.attempt,
    reason,
    strategy: verdict.strategy,
    priority_level: verdict.priorityLevel,
    from_agent: fromAgent,
    selected: verdict.selected,
    explanation: verdict.explanation,
    weights: { ...verdict.weights },
    candidates: verdict.candidates.map(({ agentId, score, factors }) => ({
      agent_id: agentId,
      score,
      factors: { ...factors },
    })),
    candidate_count: verdict.candidateCount,
    excluded: verdict.excluded.map(({ agentId, reason: exclusion, detail }) => ({
      agent_id: agentId,
      reason: exclusion,
      detail,
    })),
    excluded_counts: { ...verdict.excludedCounts },
  };
}
