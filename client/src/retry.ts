/** Trying again until it is done: silence is borne, a refusal is told. */

import type { Emitter } from "./agent/agent-events.ts";
import { backoffMs, sleep } from "./cancellation.ts";
import { isWorthRepeating } from "./http.ts";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;

/** Until it has succeeded once, or the signal is aborted; never rejects. */
export async function repeatUntilDone(
  step: () => Promise<void>,
  signal: AbortSignal,
  emitter: Emitter,
): Promise<void> {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      return await step();
    } catch (error) {
      if (signal.aborted) return;
      if (!isWorthRepeating(error)) emitter.emit("error", { error });
    }
    await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
  }
}
