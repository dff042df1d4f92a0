/**
 * How far an agent can be relied upon, from 0 to 1: an estimate from few samples.
 *
 * Successes and failures are weights that fade by half every `HALF_LIFE_MS`. The estimate
 * is their ratio, smoothed towards a prior as if some samples of it had been
 * seen (the mean of a beta distribution). A failure of the agent itself weighs more than
 * a failed task, which may be the task's own fault.
 */

export type ReliabilityHistory = {
  readonly goodWeight: number;
  readonly badWeight: number;
  /** When the two weights were last brought up to date. */
  readonly atMs: number;
};

/** A day: yesterday's crash counts half, last week's hardly. */
const HALF_LIFE_MS = 86_400_000;

/** What to think of an agent nobody knows: good enough for high-priority work at the default threshold of 0.8. */
const UNKNOWN_AGENT = { estimate: 0.9, samples: 5 };

const WEIGHTS = { task_completed: 1, task_failed: 1, agent_failed: 3 } as const;

export type ReliabilityEvent = keyof typeof WEIGHTS;

export function newHistory(nowMs: number): ReliabilityHistory {
  return { goodWeight: 0, badWeight: 0, atMs: nowMs };
}

export function withEvent(
  track: ReliabilityHistory,
  event: ReliabilityEvent,
  nowMs: number,
): ReliabilityHistory {
  const { goodWeight, badWeight } = faded(track, nowMs);
  const weight = WEIGHTS[event];
  return event === "task_completed"
    ? { goodWeight: goodWeight + weight, badWeight, atMs: nowMs }
    : { goodWeight, badWeight: badWeight + weight, atMs: nowMs };
}

/** What to think before anything was seen: an estimate, and how many samples it is worth. */
export type Prior = { estimate: number; samples: number };

/** @returns the estimate in 0..1 */
export function reliabilityOf(
  track: ReliabilityHistory,
  nowMs: number,
  prior: Prior = UNKNOWN_AGENT,
): number {
  const { goodWeight, badWeight } = faded(track, nowMs);
  return (goodWeight + prior.estimate * prior.samples) / (goodWeight + badWeight + prior.samples);
}

/** @returns how many samples, faded, are behind an estimate besides its prior */
export function samplesOf(track: ReliabilityHistory, nowMs: number): number {
  const { goodWeight, badWeight } = faded(track, nowMs);
  return goodWeight + badWeight;
}

function faded(track: ReliabilityHistory, nowMs: number): ReliabilityHistory {
  const share = 0.5 ** (Math.max(0, nowMs - track.atMs) / HALF_LIFE_MS);
  return { goodWeight: track.goodWeight * share, badWeight: track.badWeight * share, atMs: nowMs };
}
