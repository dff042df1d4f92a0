/** Which errors are worth another try, how long to wait before it, and trying until a step succeeds. */
import { sleep } from "./cancellation.ts";
import { ConnectionError, FailoverError } from "./errors.ts";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/** No answer, or a status under which the same call may succeed soon. */
export const isTransient = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  (error instanceof FailoverError &&
    (error.status >= 500 || error.status === 429) &&
    error.code !== "not_configured");

/** Exponential back-off with jitter: up to half of the pause is random, so that many clients do not retry as one. */
export function backoffMs(failedTries: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failedTries, 30)) * (0.5 + Math.random() / 2);
}

/** Repeats the step until it has succeeded once or the signal is aborted; never rejects. `onError` gets refusals. */
export async function retryUntilDone(
  step: () => Promise<void>,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      return await step();
    } catch (error) {
      if (signal.aborted) return;
      if (!isTransient(error)) onError(error);
    }
    await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
  }
}
