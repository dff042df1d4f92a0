/**
 * What a strategy is. Deciding goes: filter (each exclusion a named reason) → score (each
 * factor in 0..1, the total the sum of factor × weight) → a tie-break that spreads. The
 * filter and the tie-break are the same for all (see decide); a strategy says which
 * factors count and how much.
 */
import type { AgentStatus, Load } from "../contract/agent.ts";
import type { Config } from "../contract/config.ts";
import type { ExclusionReason, PriorityLevel, StrategyName } from "../contract/decision.ts";
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

/** What a strategy may know of an agent. */
export type Candidate = {
  readonly id: string;
  readonly group: string;
  readonly status: AgentStatus;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly maxConcurrentTasks: number;
  /** Tasks it holds now, those handed out earlier in this very round included. */
  readonly openTasks: number;
  readonly cooldownUntilMs: number | null;
  /** It misses heartbeats, and by this instant has either beaten again or been declared dead; else null. */
  readonly silentUntilMs: number | null;
  /** What it completed and failed; reliability is estimated from it for the time of the decision. */
  readonly reliabilityHistory: ReliabilityHistory;
  readonly load: Load | null;
  /** What it has done of each task type. */
  readonly performance: PerformanceByType;
};

export type DecisionContext = {
  readonly nowMs: number;
  readonly config: Config["failover_config"];
  /** Whom the task is taken from, or null. */
  readonly fromAgent: string | null;
  /** How long tasks of this type take in this cluster, on average; null if none was completed yet. */
  readonly typicalMs: number | null;
};

/** Reasons that exclude somebody only while another is left. */
export type SoftReason = Extract<
  ExclusionReason,
  "below_reliability_threshold" | "cooling_down" | "previous_agent" | "silent"
>;

export type Factors = Readonly<Record<string, number>>;
export type Weights = Readonly<Record<string, number>>;

export type Strategy = {
  readonly name: StrategyName;
  /** One line for people: what it goes by. */
  readonly summary: string;
  /** The soft reasons it heeds, in the order in which they are forgiven when nobody else is left. */
  readonly heeds: readonly SoftReason[];
  /** Whether it keeps a list of backups with each task. */
  readonly keepsBackups?: boolean;
  /** The weight of each factor for this task. */
  weights(task: PlaceableTask, context: DecisionContext): Weights;
  /** Each factor of one eligible candidate, in 0..1. Must depend on this candidate alone, not on its rivals. */
  factors(task: PlaceableTask, candidate: Candidate, context: DecisionContext): Factors;
};

export type Ranked = { readonly agentId: string; readonly score: number; readonly factors: Factors };
export type Excluded = {
  readonly agentId: string;
  readonly reason: ExclusionReason;
  readonly detail: string;
};

/** A decision before it is put on record: what was chosen and everything that led to it. */
export type Verdict = {
  readonly strategy: StrategyName;
  readonly priorityLevel: PriorityLevel;
  readonly selected: string | null;
  /** One sentence a person can read. */
  readonly explanation: string;
  readonly weights: Weights;
  /** The best few, best first. */
  readonly candidates: readonly Ranked[];
  /** Who would come next, best first: as many as the configuration wants for backups. */
  readonly runnersUp: readonly string[];
  readonly candidateCount: number;
  readonly excluded: readonly Excluded[];
  readonly excludedCounts: Readonly<Partial<Record<ExclusionReason, number>>>;
};
