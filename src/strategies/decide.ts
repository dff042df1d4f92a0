/**
 * Chooses an agent for a task. Pure and deterministic: the same input gives the same choice, independent of the order
 * of the candidates.
 */
import type { ExclusionReason } from "../contract/placement/decision.ts";
import { hash53 } from "../domain/fingerprint.ts";
import { type Exclusion, hardExclusion, softExclusion } from "./eligibility.ts";
import { explain } from "./explanation.ts";
import {
  type Candidate,
  type DecisionContext,
  type Excluded,
  type Factors,
  type PlaceableTask,
  priorityLevel,
  type Ranked,
  type SoftReason,
  type Verdict,
  type Weights,
} from "./strategy.ts";

/** Candidates shown in a decision. */
const SHOWN_CANDIDATES = 5;

/** Exclusions shown in a decision; the counts cover the rest. */
const SHOWN_EXCLUSIONS = 20;

/** A candidate that is chosen only if there is no better one. */
type Avoided = { candidate: Candidate; exclusion: Exclusion & { reason: SoftReason } };

export function decide(
  task: PlaceableTask,
  candidates: Iterable<Candidate>,
  context: DecisionContext,
): Verdict {
  const { strategy } = context;
  const excluded = new ExclusionList();
  const preferred: Candidate[] = [];
  const avoided: Avoided[] = [];
  for (const candidate of candidates) {
    const hard = hardExclusion(task, candidate);
    if (hard !== null) {
      excluded.add(candidate.id, hard);
      continue;
    }
    const soft = softExclusion(task, candidate, context);
    if (soft === null) preferred.push(candidate);
    else avoided.push({ candidate, exclusion: soft });
  }
  const { eligible, ignoredReason } = eligibleOf(preferred, avoided, strategy.softReasons);
  for (const { candidate, exclusion } of avoided) {
    if (exclusion.reason !== ignoredReason) excluded.add(candidate.id, exclusion);
  }
  const weights = strategy.weights(task, context);
  const ranking = rank(task, eligible, { weights, context });
  const verdict = {
    strategy: strategy.name,
    priorityLevel: priorityLevel(task.priority, context.config.task_priority_levels),
    selected: ranking[0]?.agentId ?? null,
    weights,
    candidates: ranking.slice(0, SHOWN_CANDIDATES),
    runnersUp: ranking.slice(1, 1 + context.config.backup_strategy_count).map(({ agentId }) => agentId),
    candidateCount: eligible.length,
    excluded: excluded.shown(),
    excludedCounts: excluded.counts,
  };
  return { ...verdict, explanation: explain(verdict, task, { fromAgent: context.fromAgent, ignoredReason }) };
}

/** The preferred candidates; if there are none, those with the mildest soft reason, which is then ignored. */
function eligibleOf(
  preferred: Candidate[],
  avoided: readonly Avoided[],
  softReasons: readonly SoftReason[],
): { eligible: Candidate[]; ignoredReason: SoftReason | null } {
  if (preferred.length > 0) return { eligible: preferred, ignoredReason: null };
  for (const reason of softReasons) {
    const eligible = avoided
      .filter(({ exclusion }) => exclusion.reason === reason)
      .map(({ candidate }) => candidate);
    if (eligible.length > 0) return { eligible, ignoredReason: reason };
  }
  return { eligible: [], ignoredReason: null };
}

/** The best few, best first. Equal scores are ordered by a hash of task and agent, so that equal agents share the tasks. */
function rank(
  task: PlaceableTask,
  eligible: readonly Candidate[],
  { weights, context }: { weights: Weights; context: DecisionContext },
): Ranked[] {
  const { strategy } = context;
  const kept = Math.max(SHOWN_CANDIDATES, 1 + context.config.backup_strategy_count);
  const best: (Ranked & { spread: number })[] = [];
  // Made once, not for each of a thousand candidates.
  const entries = Object.entries(weights);
  for (const candidate of eligible) {
    const factors = strategy.factors(task, candidate, context);
    const score = sumOf(factors, entries);
    const last = best[kept - 1];
    if (last !== undefined && score < last.score) continue;
    best.push({ agentId: candidate.id, score, factors, spread: spreadOf(task.id, candidate.id) });
    best.sort(bestFirst);
    if (best.length > kept) best.pop();
  }
  return best.map(({ agentId, score, factors }) => ({ agentId, score, factors }));
}

function spreadOf(taskId: string, agentId: string): number {
  return hash53(`${taskId}/${agentId}`, 0);
}

type Scored = { agentId: string; score: number; spread: number };

function bestFirst(one: Scored, other: Scored): number {
  return other.score - one.score || one.spread - other.spread || (one.agentId < other.agentId ? -1 : 1);
}

/** Decides again from a recorded decision: from its candidates and its weights. @returns the choice */
export function replay(
  taskId: string,
  candidates: readonly Pick<Ranked, "agentId" | "factors">[],
  weights: Weights,
): string | null {
  const [best] = candidates
    .map(({ agentId, factors }) => ({
      agentId,
      score: weightedSum(factors, weights),
      spread: spreadOf(taskId, agentId),
    }))
    .sort(bestFirst);
  return best?.agentId ?? null;
}

/** @returns the sum of factor × weight, in the order of the weights */
export function weightedSum(factors: Factors, weights: Weights): number {
  return sumOf(factors, Object.entries(weights));
}

function sumOf(factors: Factors, weights: readonly (readonly [name: string, weight: number])[]): number {
  let sum = 0;
  for (const [name, weight] of weights) sum += (factors[name] ?? 0) * weight;
  return sum;
}

/** Counts every exclusion, and keeps the first few by agent id: the order of the candidates makes no difference. */
class ExclusionList {
  readonly counts: Partial<Record<ExclusionReason, number>> = {};
  #shown: Excluded[] = [];

  add(agentId: string, { reason, detail }: Exclusion): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    const last = this.#shown[SHOWN_EXCLUSIONS - 1];
    if (last !== undefined && agentId > last.agentId) return;
    this.#shown.push({ agentId, reason, detail });
    this.#shown.sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
    if (this.#shown.length > SHOWN_EXCLUSIONS) this.#shown.pop();
  }

  shown(): Excluded[] {
    return this.#shown;
  }
}
