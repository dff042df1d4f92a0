/**
 * What a strategy is. A decision filters (each exclusion has a named reason), scores (each factor is in 0..1, the score
 * is the sum of factor × weight) and breaks ties so that equal agents share the tasks. The filter and the tie-break
 * are the same for all strategies (see decide); a strategy says which factors count and how much.
 */
import type { AgentStatus, Load } from "../contract/agent.ts";
import type { Config } from "../contract/config.ts";
import type { ExclusionReason, PriorityLevel, StrategyName } from "../contract/placement/decision.ts";
import type { ReliabilityHistory } from "../domain/reliability.ts";
import type { PerformanceByType } from "../domain/task-type-performance.ts";

/** What a strategy may know of the task. */
export type PlaceableTask = {
  readonly id: string;
  readonly type: string;
  readonly priority: number;
  readonly group: string | null;
  readonly requiredLabels: Readonly<Record<string, string>>;
  readonly previousAgents: readonly string[];
  readonly backups: readonly string[];
  /** The backups were named by hand. */
  readonly hasOwnBackups: boolean;
};

/** What the hard reasons look at: tasks with the same needs can be taken by the same agents. */
export type TaskNeeds = Pick<PlaceableTask, "type" | "group" | "requiredLabels">;

/** What a strategy may know of an agent. */
export type Candidate = {
  readonly id: string;
  readonly group: string;
  readonly status: AgentStatus;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly maxConcurrentTasks: number;
  /** Tasks that the agent holds now, including those that it was given earlier in this round. */
  readonly openTasks: number;
  readonly cooldownUntilMs: number | null;
  /** The agent has missed heartbeats; by this instant it has sent one or was declared failed. Null if it is not silent. */
  readonly silentUntilMs: number | null;
  /** What the agent completed and failed; reliability is estimated from it for the time of the decision. */
  readonly reliabilityHistory: ReliabilityHistory;
  readonly load: Load | null;
  /** What the agent has done of each task type. */
  readonly performance: PerformanceByType;
};

export type DecisionContext = {
  readonly strategy: Strategy;
  readonly nowMs: number;
  readonly config: Config["failover_config"];
  /** The agent that the task is taken from, or null. */
  readonly fromAgent: string | null;
  /** How long tasks of this type take in this cluster, on average; null if none was completed yet. */
  readonly typicalMs: number | null;
};

/** Reasons that exclude an agent only while another agent without a reason is left. */
export type SoftReason = Extract<
  ExclusionReason,
  "below_reliability_threshold" | "cooling_down" | "previous_agent" | "silent"
>;

export type Factors = Readonly<Record<string, number>>;
export type Weights = Readonly<Record<string, number>>;

export type Strategy = {
  readonly name: StrategyName;
  /** One line for people: what the strategy compares. */
  readonly summary: string;
  /** The soft reasons that count, mildest first: the order in which they are ignored when no other agent is left. */
  readonly softReasons: readonly SoftReason[];
  /** Whether a list of backups is kept with each task. */
  readonly keepsBackups?: boolean;
  /** The weight of each factor for this task. */
  weights(task: PlaceableTask, context: DecisionContext): Weights;
  /** Each factor of one eligible candidate, in 0..1. Depends on this candidate alone, not on its rivals. */
  factors(task: PlaceableTask, candidate: Candidate, context: DecisionContext): Factors;
};

export type Ranked = { readonly agentId: string; readonly score: number; readonly factors: Factors };
export type Excluded = {
  readonly agentId: string;
  readonly reason: ExclusionReason;
  readonly detail: string;
};

/** A decision before it is recorded: what was chosen, and everything that led to the choice. */
export type Verdict = {
  readonly strategy: StrategyName;
  readonly priorityLevel: PriorityLevel;
  readonly selected: string | null;
  /** One sentence a person can read. */
  readonly explanation: string;
  readonly weights: Weights;
  /** The best few, best first. */
  readonly candidates: readonly Ranked[];
  /** The next best agents, best first: as many as the configuration wants for backups. */
  readonly runnersUp: readonly string[];
  readonly candidateCount: number;
  readonly excluded: readonly Excluded[];
  readonly excludedCounts: Readonly<Partial<Record<ExclusionReason, number>>>;
};

/** The level of a priority: at least `high`, else at least `medium`, else low (`task_priority_levels`). */
export function priorityLevel(
  priority: number,
  levels: Config["failover_config"]["task_priority_levels"],
): PriorityLevel {
  if (priority >= levels.high) return "high";
  return priority >= levels.medium ? "medium" : "low";
}
