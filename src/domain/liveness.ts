/**
 * When an agent is declared failed. Pure. Times are milliseconds since the epoch.
 *
 *   active --(no sign of life for its timeout)--> inactive
 *     |  ^
 *     |  '--(a sign of life)--.
 *     '--(its socket broke)--> suspect --(no sign of life for the grace, or its timeout)--> inactive
 *
 * A silence counts from the last sign of life or from the last extension, whichever is later. The deadline is extended
 * after our own outage: what the agent sent meanwhile could not arrive. One silence is extended at most twice, so that a
 * clock that is always late cannot hide a failure.
 */

export type SignsOfLife = {
  readonly lastSignMs: number;
  /** When the deadline of this silence was last extended; 0 if never. */
  readonly extendedAtMs: number;
  /** Extensions of the present silence. */
  readonly extensions: number;
};

/** Two: one for an outage, and one for a second outage while agents are still coming back. */
export const MAX_EXTENSIONS = 2;

export function firstSign(nowMs: number): SignsOfLife {
  return { lastSignMs: nowMs, extendedAtMs: 0, extensions: 0 };
}

/** A sign of life at `nowMs` ends the silence and its extensions. */
export function withSign(signs: SignsOfLife, nowMs: number): SignsOfLife {
  return { lastSignMs: Math.max(signs.lastSignMs, nowMs), extendedAtMs: 0, extensions: 0 };
}

/**
 * A sign of life of an earlier instant, such as a `ping` that the platform answered. An extension since then stays: it
 * may cover signs of life that were sent after this one.
 */
export function withPastSign(signs: SignsOfLife, signMs: number): SignsOfLife {
  if (signMs > signs.extendedAtMs) return withSign(signs, signMs);
  return { ...signs, lastSignMs: Math.max(signs.lastSignMs, signMs) };
}

/** The timeout starts again at `nowMs`, unless this silence had all its extensions. */
export function withExtension(signs: SignsOfLife, nowMs: number): SignsOfLife {
  if (signs.extensions >= MAX_EXTENSIONS) return signs;
  return { ...signs, extendedAtMs: Math.max(signs.extendedAtMs, nowMs), extensions: signs.extensions + 1 };
}

/** The timeout has changed: a whole one is still to come. The silence keeps the extensions that it may have. */
export function withWholeTimeout(signs: SignsOfLife, nowMs: number): SignsOfLife {
  return { ...signs, extendedAtMs: Math.max(signs.extendedAtMs, nowMs) };
}

/** An agent is silent after this many intervals without a sign of life, though not yet overdue. */
const SILENT_INTERVALS = 2;

/** Whether the agent gave no sign of life for longer than one lost heartbeat explains. */
export function isSilent(signs: SignsOfLife, intervalMs: number, nowMs: number): boolean {
  return nowMs - Math.max(signs.lastSignMs, signs.extendedAtMs) > SILENT_INTERVALS * intervalMs;
}

/**
 * The timeout of a live agent under a new default. The agent learned its interval when it registered, and knows no other
 * until it registers again: a timeout that was longer than two of these intervals does not fall below them.
 */
export function timeoutUnderDefault(
  { intervalMs, timeoutMs }: { intervalMs: number; timeoutMs: number },
  defaultTimeoutMs: number,
): number {
  return Math.max(defaultTimeoutMs, Math.min(timeoutMs, SILENT_INTERVALS * intervalMs));
}

/** The earliest instant at which the agent may be declared failed. */
export function heartbeatDeadlineMs(signs: SignsOfLife, timeoutMs: number): number {
  return Math.max(signs.lastSignMs, signs.extendedAtMs) + timeoutMs;
}

/** The same with the grace of a suspect, which ends at `suspectUntilMs`; null if the agent is not suspect. */
export function agentDeadlineMs(
  signs: SignsOfLife,
  timeoutMs: number,
  suspectUntilMs: number | null,
): number {
  return Math.min(heartbeatDeadlineMs(signs, timeoutMs), suspectUntilMs ?? Number.POSITIVE_INFINITY);
}
