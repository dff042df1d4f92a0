/** A decision in one sentence. */
import type { ExclusionReason } from "../contract/placement/decision.ts";
import type { PlaceableTask, Verdict } from "./strategy.ts";

/** How each exclusion reads after a count. */
const REASON_WORDS: Record<ExclusionReason, string> = {
  inactive: "inactive",
  suspect: "suspect",
  silent: "silent",
  draining: "draining",
  missing_capability: "without the capability",
  missing_label: "without a required label",
  other_group: "in another group",
  at_capacity: "at capacity",
  cooling_down: "cooling down after a failure",
  below_reliability_threshold: "below the reliability threshold",
  previous_agent: "tried before",
};

export function explain(
  verdict: Omit<Verdict, "explanation">,
  task: PlaceableTask,
  { fromAgent, ignoredReason }: { fromAgent: string | null; ignoredReason: ExclusionReason | null },
): string {
  const best = verdict.candidates[0];
  if (best === undefined) {
    return `Nobody can take ${task.id} (${task.type}) now: ${exclusionWords(verdict) || "no agent is registered"}.`;
  }
  const taken = fromAgent === null ? "" : ` after ${fromAgent}`;
  const rivals =
    verdict.candidateCount === 1
      ? "the only candidate"
      : `the best of ${verdict.candidateCount} by ${factorWords(verdict)}`;
  const fallback =
    ignoredReason === null
      ? ""
      : `; taken although ${REASON_WORDS[ignoredReason]}, since nobody better is left`;
  const others = exclusionWords(verdict);
  return `${best.agentId} takes ${task.id} (${task.type})${taken}: ${rivals}${fallback}${others === "" ? "" : `; passed over: ${others}`}.`;
}

/** Why no agent can take a task, in words. */
export function exclusionWords(verdict: Pick<Verdict, "excludedCounts">): string {
  return Object.entries(verdict.excludedCounts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([reason, count]) => `${count} ${REASON_WORDS[reason as ExclusionReason]}`)
    .join(", ");
}

/** The best candidate's factors, the largest contribution first. */
function factorWords(verdict: Omit<Verdict, "explanation">): string {
  const factors = verdict.candidates[0]?.factors ?? {};
  return Object.entries(verdict.weights)
    .map(([name, weight]) => ({ name, value: factors[name] ?? 0, share: (factors[name] ?? 0) * weight }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share)
    .map(({ name, value }) => `${name} ${value.toFixed(2)}`)
    .join(", ");
}
