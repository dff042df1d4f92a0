/**
 * When an agent counts as dead. Pure: times come in as milliseconds since the epoch.
 *
 *   active --(silent for its whole timeout)--> inactive
 *     |  ^
 *     |  '--(a sign of life)--.
 *     '--(its socket broke)--> suspect --(silent for the grace, or its whole timeout)--> inactive
 *
 * "Silent" counts from the last sign of life or from the last credit, whichever is later.
 * A credit is given when we ourselves were away: whatever the agent sent meanwhile could
 * not reach us. One silence is credited at most twice, so that a clock that is always
 * late cannot hide a death.
 */

export type SignsOfLife = {
  readonly lastSignMs: number;
  /** When this silence was last credited; 0 if never. */
  readonly extendedAtMs: number;
  /** Credits given to the present silence. */
  readonly extensions: number;
};

/** Two: one for the pause itself, one for a second one while agents are still coming back. */
export const MAX_EXTENSIONS = 2;

export function firstSign(nowMs: number): SignsOfLife {
  return { lastSignMs: nowMs, extendedAtMs: 0, extensions: 0 };
}

/** A sign of life at `nowMs` ends the silence and whatever credit it had. */
export function withSign(life: SignsOfLife, nowMs: number): SignsOfLife {
  return { lastSignMs: Math.max(life.lastSignMs, nowMs), extendedAtMs: 0, extensions: 0 };
}

/**
 * A sign of life of an earlier instant, such as a `ping` that woke nobody: what was credited since stands,
 * for it may cover signs that came after this one.
 */
export function withPastSign(life: SignsOfLife, signMs: number): SignsOfLife {
  if (signMs > life.extendedAtMs) return withSign(life, signMs);
  return { ...life, lastSignMs: Math.max(life.lastSignMs, signMs) };
}

/** Grants the whole timeout again from `nowMs`, unless this silence had its credits already. */
export function withExtension(life: SignsOfLife, nowMs: number): SignsOfLife {
  if (life.extensions >= MAX_EXTENSIONS) return life;
  return { ...life, extendedAtMs: Math.max(life.extendedAtMs, nowMs), extensions: life.extensions + 1 };
}

/** Heartbeats missed in a row after which an agent is doubtful, though not yet overdue. */
const DOUBTFUL_INTERVALS = 2;

/** Silent for longer than a lost heartbeat explains. */
export function isSilent(life: SignsOfLife, intervalMs: number, nowMs: number): boolean {
  return nowMs - Math.max(life.lastSignMs, life.extendedAtMs) > DOUBTFUL_INTERVALS * intervalMs;
}

/** The earliest instant at which the agent may be declared dead. */
export function heartbeatDeadlineMs(life: SignsOfLife, timeoutMs: number): number {
  return Math.max(life.lastSignMs, life.extendedAtMs) + timeoutMs;
}

/**
 * The same for a suspect, whose grace ends at `suspectUntilMs`; null for who is none.
 */
export function agentDeadlineMs(life: SignsOfLife, timeoutMs: number, suspectUntilMs: number | null): number {
  return Math.min(heartbeatDeadlineMs(life, timeoutMs), suspectUntilMs ?? Number.POSITIVE_INFINITY);
}
