/** Which errors are retried, how long the pauses are, and when a retried step ends. */
import { describe, expect, it, vi } from "vitest";
import { sleep } from "../../client/src/cancellation.ts";
import { ConnectionError, FailoverError } from "../../client/src/errors.ts";
import { backoffMs, isTransient, retryUntilDone } from "../../client/src/retry.ts";

const refused = (
  status: number,
  code: "unavailable" | "rate_limited" | "request_timeout" | "not_configured" | "not_found",
) => new FailoverError(status, { code });

describe("transient errors", () => {
  it("no answer, 5xx, 429 and 408 are transient", () => {
    const refusals = [
      refused(503, "unavailable"),
      refused(429, "rate_limited"),
      refused(408, "request_timeout"),
    ];
    expect([new ConnectionError(), ...refusals].map(isTransient)).toEqual([true, true, true, true]);
  });

  it("refusals, a server without its secrets, and errors of the program are not transient", () => {
    const errors = [refused(404, "not_found"), refused(503, "not_configured"), new Error("bug")];
    expect(errors.map(isTransient)).toEqual([false, false, false]);
  });
});

describe("back-off", () => {
  it("the pause doubles up to its limit, and at least half of it is certain", () => {
    for (const [tries, fullMs] of [
      [0, 200],
      [1, 400],
      [2, 800],
      [40, 5000],
    ] as const) {
      const pauseMs = backoffMs(tries, 200, 5000);
      expect(pauseMs).toBeGreaterThanOrEqual(fullMs / 2);
      expect(pauseMs).toBeLessThanOrEqual(fullMs);
    }
  });
});

describe("retrying until done", () => {
  it("a step is repeated until it succeeds, and only refusals are reported", async () => {
    vi.useFakeTimers();
    try {
      const outcomes = [new ConnectionError(), refused(404, "not_found"), null];
      const errors: unknown[] = [];
      const step = async () => {
        const error = outcomes.shift();
        if (error) throw error;
      };
      const { signal } = new AbortController();
      const pause = ({ pauseMs }: { pauseMs: number }) => sleep(pauseMs, signal);
      const done = retryUntilDone(step, { signal, onError: (error) => errors.push(error), pause });
      await vi.advanceTimersByTimeAsync(1000);
      await done;
      expect(outcomes).toEqual([]);
      expect(errors).toMatchObject([{ code: "not_found" }]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("an aborted signal ends the retries without an error", async () => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    const step = async () => {
      stop.abort();
      throw new Error("late");
    };
    const onError = (error: unknown) => errors.push(error);
    await retryUntilDone(step, { signal: stop.signal, onError, pause: async () => {} });
    expect(errors).toEqual([]);
  });
});
