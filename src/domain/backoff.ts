/** When something that failed is tried again. Pure: chance is a parameter. */

export type Backoff = { firstMs: number; factor: number; longestMs: number };

/** How long to wait before the next try, after this many failures in a row (1 or more). */
export function backoffMs(failures: number, { firstMs, factor, longestMs }: Backoff): number {
  return Math.min(longestMs, firstMs * factor ** Math.max(0, failures - 1));
}

/** The wait before a failed task is tried again: from 1 s, doubling, at most 5 minutes. */
export const TASK_RETRY: Backoff = { firstMs: 1000, factor: 2, longestMs: 300_000 };

/** The largest share of a wait that is added at random, so that many deliveries are not repeated at one instant. */
const JITTER = 0.2;

export type FailedDelivery = {
  /** Failed tries so far, 1 or more. */
  readonly failures: number;
  /** The waits between the tries. */
  readonly scheduleMs: readonly number[];
  /** How long the receiver asks to wait (`Retry-After`), or null. */
  readonly retryAfterMs: number | null;
};

/**
 * How long to wait before the next try; null: no more tries.
 * @param chance in [0, 1)
 */
export function retryDelayMs(
  { failures, scheduleMs, retryAfterMs }: FailedDelivery,
  chance: number,
): number | null {
  const plannedMs = scheduleMs[failures - 1];
  if (plannedMs === undefined) return null;
  return Math.max(plannedMs * (1 + JITTER * chance), retryAfterMs ?? 0);
}
