/** Exponential back-off. Pure: jitter, where wanted, is the caller's. */

export type Backoff = { firstMs: number; factor: number; longestMs: number };

/** How long to wait before the try after the `failures`-th failure in a row (1 or more). */
export function backoffMs(failures: number, { firstMs, factor, longestMs }: Backoff): number {
  return Math.min(longestMs, firstMs * factor ** Math.max(0, failures - 1));
}

/** The wait before a failed task is tried again: from 1 s, doubling, at most 5 minutes. */
export const TASK_RETRY: Backoff = { firstMs: 1000, factor: 2, longestMs: 300_000 };
