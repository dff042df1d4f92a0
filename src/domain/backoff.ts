/** Exponential back-off. Pure: a caller that wants jitter adds it. */

export type Backoff = { firstMs: number; factor: number; longestMs: number };

/** How long to wait before the next try, after this many failures in a row (1 or more). */
export function backoffMs(failures: number, { firstMs, factor, longestMs }: Backoff): number {
  return Math.min(longestMs, firstMs * factor ** Math.max(0, failures - 1));
}

/** The wait before a failed task is tried again: from 1 s, doubling, at most 5 minutes. */
export const TASK_RETRY: Backoff = { firstMs: 1000, factor: 2, longestMs: 300_000 };
