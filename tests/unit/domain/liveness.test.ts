/** When an agent counts as dead, and when it was we who were away. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLateAlarm, isRestart } from "../../../src/domain/coordinator-outage.ts";
import {
  firstSign,
  heartbeatDeadlineMs,
  MAX_EXTENSIONS,
  timeoutUnderDefault,
  withExtension,
  withPastSign,
  withSign,
  withWholeTimeout,
} from "../../../src/domain/liveness.ts";

const TIMEOUT_MS = 3000;

type Step = { kind: "sign" | "pause"; afterMs: number };
const steps = fc.array(
  fc.record({ kind: fc.constantFrom("sign" as const, "pause" as const), afterMs: fc.nat(5000) }),
  { maxLength: 30 },
);

/** A life after these steps, with what happened in the silence that lasts. */
function live(history: Step[]) {
  let nowMs = 1_000_000;
  let life = firstSign(nowMs);
  let lastSignMs = nowMs;
  let pausesMs: number[] = [];
  for (const { kind, afterMs } of history) {
    nowMs += afterMs;
    if (kind === "sign") {
      life = withSign(life, nowMs);
      lastSignMs = nowMs;
      pausesMs = [];
    } else {
      life = withExtension(life, nowMs);
      pausesMs.push(nowMs);
    }
  }
  return { life, lastSignMs, pausesMs };
}

describe("a deadline", () => {
  it("is never earlier than the last sign of life and the whole timeout", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { life, lastSignMs } = live(history);
        expect(heartbeatDeadlineMs(life, TIMEOUT_MS)).toBeGreaterThanOrEqual(lastSignMs + TIMEOUT_MS);
      }),
      { numRuns: 1000 },
    );
  });

  it("is a whole timeout after the last of our pauses that still counts, and two count at most", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { life, lastSignMs, pausesMs } = live(history);
        const counted = [lastSignMs, ...pausesMs.slice(0, MAX_EXTENSIONS)];
        expect(heartbeatDeadlineMs(life, TIMEOUT_MS)).toBe(Math.max(...counted) + TIMEOUT_MS);
      }),
      { numRuns: 1000 },
    );
  });

  it("does not move back with a clock that does", () => {
    const life = withSign(firstSign(10_000), 20_000);
    expect(heartbeatDeadlineMs(withSign(life, 15_000), TIMEOUT_MS)).toBe(20_000 + TIMEOUT_MS);
  });
});

describe("a sign of life that is noticed late", () => {
  it("moves the deadline as if it had been noticed at once", () => {
    const life = withPastSign(firstSign(10_000), 12_000);
    expect(life).toEqual(withSign(firstSign(10_000), 12_000));
  });

  it("keeps an extension that came after it", () => {
    const extended = withExtension(firstSign(10_000), 15_000);
    const life = withPastSign(extended, 12_000);
    expect(life.lastSignMs).toBe(12_000);
    expect(life.extensions).toBe(1);
    expect(heartbeatDeadlineMs(life, TIMEOUT_MS)).toBe(15_000 + TIMEOUT_MS);
  });
});

describe("our own outage", () => {
  it("shows in another boot id, but not in the very first", () => {
    expect(isRestart("one", "another")).toBe(true);
    expect(isRestart("one", "one")).toBe(false);
    expect(isRestart(null, "one")).toBe(false);
  });

  it("shows in an alarm later than 100 ms and 5 % of the shortest timeout", () => {
    expect(isLateAlarm(1000, 1000 + 150, 1000)).toBe(false);
    expect(isLateAlarm(1000, 1000 + 151, 1000)).toBe(true);
    expect(isLateAlarm(1000, 1000 + 1600, 30_000)).toBe(false);
    expect(isLateAlarm(1000, 1000 + 1601, 30_000)).toBe(true);
  });

  it("does not show where nothing is watched", () => {
    expect(isLateAlarm(0, 1_000_000, null)).toBe(false);
  });
});

describe("a changed timeout", () => {
  it("leaves a whole one from the change on, and never a deadline that was nearer before", () => {
    fc.assert(
      fc.property(steps, fc.nat(10_000), (history, sinceMs) => {
        const { life, lastSignMs } = live(history);
        const changedMs = lastSignMs + sinceMs;
        const after = withWholeTimeout(life, changedMs);
        expect(heartbeatDeadlineMs(after, TIMEOUT_MS)).toBeGreaterThanOrEqual(changedMs + TIMEOUT_MS);
        expect(heartbeatDeadlineMs(after, TIMEOUT_MS)).toBeGreaterThanOrEqual(
          heartbeatDeadlineMs(life, TIMEOUT_MS),
        );
        expect(after.extensions).toBe(life.extensions);
      }),
      { numRuns: 1000 },
    );
  });

  const times = fc.integer({ min: 100, max: 100_000 });

  it("is the default, but at least two intervals of the agent if it was that long before", () => {
    fc.assert(
      fc.property(times, times, times, (intervalMs, surplusMs, defaultMs) => {
        const timeoutMs = intervalMs + surplusMs;
        const changed = timeoutUnderDefault({ intervalMs, timeoutMs }, defaultMs);
        expect(changed).toBeGreaterThan(intervalMs);
        expect(changed).toBeGreaterThanOrEqual(defaultMs);
        if (changed !== defaultMs) expect(changed).toBe(Math.min(timeoutMs, 2 * intervalMs));
        expect(timeoutUnderDefault({ intervalMs, timeoutMs: changed }, defaultMs)).toBe(changed);
      }),
      { numRuns: 1000 },
    );
  });
});
