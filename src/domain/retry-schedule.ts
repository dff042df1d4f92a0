/** When a message that did not arrive is tried again. Pure: chance comes in as a number. */

/** Longest share of a wait that chance adds, so that many messages do not come back at one instant. */
const JITTER = 0.2;

/**
 * How long to wait after the `failures`-th failed try (1 or more); null: no more tries.
 * @param scheduleMs waits between the tries
 * @param askedMs how long the receiver asked us to wait (`Retry-After`), or null
 * @param chance in [0, 1)
 */
export function retryDelayMs(
  failures: number,
  scheduleMs: readonly number[],
  askedMs: number | null,
  chance: number,
): number | null {
  const plannedMs = scheduleMs[failures - 1];
  if (plannedMs === undefined) return null;
  return Math.max(plannedMs * (1 + JITTER * chance), askedMs ?? 0);
}
