/**
 * Waits until a server answers `GET /healthz` with 200: then, and not before, it is ready.
 */
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { done, type Outcome, refuse } from "./exit-codes.ts";

/** Short against the start itself, which takes some 300 ms. */
const POLL_INTERVAL_MS = 25;
/** One that accepts a connection and then says nothing is not waited for. */
const ANSWER_LIMIT_MS = 2000;

export async function untilHealthy(origin: string, limitMs: number): Promise<Outcome<void>> {
  const untilMs = performance.now() + limitMs;
  let answer = await askHealth(origin);
  while (answer !== 200) {
    if (performance.now() >= untilMs) {
      return refuse(
        "failed",
        `${origin}/healthz did not answer 200 within ${limitMs / 1000} s, but: ${answer}`,
      );
    }
    await delay(POLL_INTERVAL_MS);
    answer = await askHealth(origin);
  }
  return done(undefined);
}

/** The status, or in words why there is none. */
function askHealth(origin: string): Promise<number | string> {
  return new Promise((resolve) => {
    // A connection of its own each time: one kept open would hold up the end of the server.
    const request = get(`${origin}/healthz`, { agent: false, timeout: ANSWER_LIMIT_MS }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", (error) => resolve(error.message));
    });
    request.once("timeout", () => request.destroy(new Error("no answer")));
    request.once("error", (error) => resolve(error.message));
  });
}
