/** Pauses before a call is repeated that got no answer. They end early when another call succeeds. */
import { linkedAbort, sleep } from "../cancellation.ts";

/** No pause ends earlier, so that a call that fails while others succeed is not repeated without a pause. */
const SHORTEST_PAUSE_MS = 200;

export class Reach {
  #reachedAtMs = Number.NEGATIVE_INFINITY;
  readonly #pauses = new Set<AbortController>();

  /** A call has succeeded: the coordinator is back. */
  reached(): void {
    this.#reachedAtMs = performance.now();
    for (const pause of this.#pauses) pause.abort();
  }

  /** @param failed how long to wait, and when the call was sent that got no answer */
  readonly pause = async (
    { pauseMs, sentAtMs }: { pauseMs: number; sentAtMs: number },
    signal: AbortSignal,
  ): Promise<void> => {
    const early = linkedAbort(signal);
    this.#pauses.add(early);
    if (this.#reachedAtMs > sentAtMs) early.abort();
    await sleep(Math.min(pauseMs, SHORTEST_PAUSE_MS), signal);
    await sleep(pauseMs - SHORTEST_PAUSE_MS, early.signal);
    this.#pauses.delete(early);
    early.dispose();
  };
}
