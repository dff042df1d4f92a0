/** Waiting for a condition without a signal: a record or a table of the kernel is read at short intervals. */
import { setTimeout as delay } from "node:timers/promises";

const INTERVAL_MS = 20;
/** For a busy machine; on an idle one a test that passes waits for a fraction of it. */
const LIMIT_MS = 20_000;

/**
 * Checks until there is a result. Where there is a signal, wait for the signal instead.
 * @returns the first result that is neither undefined nor false
 */
export async function until<Value>(
  check: () => Promise<Value | undefined | false> | Value | undefined | false,
  what: string,
  limitMs = LIMIT_MS,
): Promise<Value> {
  const untilMs = performance.now() + limitMs;
  for (;;) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) throw new Error(`waited too long for ${what}`);
    await delay(INTERVAL_MS);
  }
}
