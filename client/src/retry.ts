/** Which errors are worth another try, how long to wait before it, and trying until a step succeeds. */
import { sleep } from "./cancellation.ts";
import { ConnectionError, FailoverError } from "./errors.ts";

const FIRST_PAUSE_MS = 200;
/** Short enough that an agent is back soon after an outage. */
const LONGEST_PAUSE_MS = 5000;

/** No answer, or a status under which the same call may succeed soon. */
export const isTransient = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  (error instanceof FailoverError &&
    (error.status >= 500 || error.status === 429 || error.status === 408) &&
    error.code !== "not_configured");

/** As `isTransient`, but not the rate limit: as soon as another call succeeds, this one may succeed too. */
export const isUnreachable = (error: unknown): boolean =>
  isTransient(error) && !(error instanceof FailoverError && error.status === 429);

/** Exponential back-off with jitter: up to half of the pause is random, so that many clients do not retry as one. */
export function backoffMs(failedTries: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failedTries, 30)) * (0.5 + Math.random() / 2);
}

export type RetryParts = {
  /** Ends the retries. */
  signal: AbortSignal;
  /** Gets refusals. */
  onError: (error: unknown) => void;
  /** Waits before the next try when the coordinator was unreachable; may end early. */
  pause: (failed: { pauseMs: number; sentAtMs: number }, signal: AbortSignal) => Promise<void>;
};

/** Repeats the step until it has succeeded once or the signal is aborted; never rejects. */
export async function retryUntilDone(
  step: () => Promise<void>,
  { signal, onError, pause }: RetryParts,
): Promise<void> {
  for (let tries = 0; !signal.aborted; tries++) {
    const pauseMs = backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    const sentAtMs = performance.now();
    try {
      return await step();
    } catch (error) {
      if (signal.aborted) return;
      if (!isTransient(error)) onError(error);
      if (isUnreachable(error)) await pause({ pauseMs, sentAtMs }, signal);
      else await sleep(pauseMs, signal);
    }
  }
}
