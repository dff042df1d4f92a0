/**
 * The reliability of an agent, from 0 to 1: an estimate from few samples.
 *
 * Successes and failures are weights that fade by half every `HALF_LIFE_MS`. The estimate is their ratio, smoothed
 * towards a prior as if some samples of it had been seen (the mean of a beta distribution). A failure of the agent weighs
 * more than a failed task, since the task itself may be the cause.
 */

export type ReliabilityHistory = {
  readonly goodWeight: number;
  readonly badWeight: number;
  /** When the two weights were last brought up to date. */
  readonly atMs: number;
};

/** A day: yesterday's failure counts half, last week's hardly at all. */
const HALF_LIFE_MS = 86_400_000;

/** The prior of a new agent: above the default threshold of 0.8, so that it may take high-priority tasks. */
const UNKNOWN_AGENT = { estimate: 0.9, samples: 5 };

const WEIGHTS = { task_completed: 1, task_failed: 1, agent_failed: 3 } as const;

export type ReliabilityEvent = keyof typeof WEIGHTS;

export function newHistory(nowMs: number): ReliabilityHistory {
  return { goodWeight: 0, badWeight: 0, atMs: nowMs };
}

export function withEvent(
  history: ReliabilityHistory,
  event: ReliabilityEvent,
  nowMs: number,
): ReliabilityHistory {
  const { goodWeight, badWeight } = faded(history, nowMs);
  const weight = WEIGHTS[event];
  return event === "task_completed"
    ? { goodWeight: goodWeight + weight, badWeight, atMs: nowMs }
    : { goodWeight, badWeight: badWeight + weight, atMs: nowMs };
}

/** An estimate without samples, and how many samples it counts as. */
export type Prior = { estimate: number; samples: number };

/** @returns the estimate in 0..1 */
export function reliabilityOf(
  history: ReliabilityHistory,
  nowMs: number,
  prior: Prior = UNKNOWN_AGENT,
): number {
  const { goodWeight, badWeight } = faded(history, nowMs);
  return (goodWeight + prior.estimate * prior.samples) / (goodWeight + badWeight + prior.samples);
}

/** @returns the faded number of samples behind an estimate, without the prior */
export function samplesOf(history: ReliabilityHistory, nowMs: number): number {
  const { goodWeight, badWeight } = faded(history, nowMs);
  return goodWeight + badWeight;
}

function faded(history: ReliabilityHistory, nowMs: number): ReliabilityHistory {
  const share = 0.5 ** (Math.max(0, nowMs - history.atMs) / HALF_LIFE_MS);
  return { goodWeight: history.goodWeight * share, badWeight: history.badWeight * share, atMs: nowMs };
}
