/** Waits until the server answers `GET /healthz` with 200. */
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { done, type Outcome, refuse } from "./outcome.ts";

/** From the start to the first answer. workerd takes less than a second, `wrangler dev` some seconds. */
const READY_LIMIT_MS = 30_000;
/** Short compared with a start, which takes about 300 ms. */
const POLL_INTERVAL_MS = 25;
/** For a server that accepts a connection and does not answer. */
const ANSWER_LIMIT_MS = 2000;

export async function waitUntilReady(origin: string): Promise<Outcome<void>> {
  const untilMs = performance.now() + READY_LIMIT_MS;
  let answer = await askHealth(origin);
  while (answer !== 200) {
    if (performance.now() >= untilMs) {
      return refuse(
        "failed",
        `${origin}/healthz did not answer 200 within ${READY_LIMIT_MS / 1000} s; its last answer: ${answer}`,
      );
    }
    await delay(POLL_INTERVAL_MS);
    answer = await askHealth(origin);
  }
  return done(undefined);
}

/** The status of the answer, or the reason why there is none. */
function askHealth(origin: string): Promise<number | string> {
  return new Promise((resolve) => {
    // A new connection for each request: an open one would delay the end of the server.
    const request = get(`${origin}/healthz`, { agent: false, timeout: ANSWER_LIMIT_MS }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", (error) => resolve(error.message));
    });
    request.once("timeout", () => request.destroy(new Error("no answer")));
    request.once("error", (error) => resolve(error.message));
  });
}
