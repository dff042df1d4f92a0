/** Timers that back off: their waits, and what a new instance makes of them. */
import { describe, expect, it } from "vitest";
import { BackoffTimers, isLastWait } from "../../../../../src/services/coordinator/agents/backoff-timers.ts";

describe("a back-off timer", () => {
  it("waits twice as long each time, and stops after about an hour", () => {
    const timers = new BackoffTimers();
    timers.start("a", 0);
    const dueAtSeconds: number[] = [];
    for (let nowMs = timers.nextWorkMs(); nowMs !== null; nowMs = timers.nextWorkMs()) {
      dueAtSeconds.push(nowMs / 1000);
      for (const timer of timers.due(nowMs)) timers.repeat(timer, nowMs);
    }
    expect(dueAtSeconds).toEqual([1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 4095]);
    expect(isLastWait(1_024_000)).toBe(false);
    expect(isLastWait(2_048_000)).toBe(true);
  });

  it("stays due until it is repeated or stopped", () => {
    const timers = new BackoffTimers();
    timers.start("a", 0);
    expect(timers.due(999)).toEqual([]);
    expect(timers.due(1000)).toEqual([{ id: "a", waitedMs: 1000 }]);
    expect(timers.due(1000)).toHaveLength(1);
    expect(timers.stop("a")).toBe(1000);
    expect(timers.stop("a")).toBeNull();
    expect(timers.nextWorkMs()).toBeNull();
  });

  it("is continued by a new instance at the pace of its age", () => {
    const timers = new BackoffTimers();
    timers.continue("young", 0, 0);
    timers.continue("older", 0, 10_000);
    timers.continue("just due", 0, 7500);
    timers.continue("too old", 0, 10_000_000);
    expect(timers.due(15_000)).toEqual([
      { id: "young", waitedMs: 1000 },
      { id: "older", waitedMs: 8000 },
      { id: "just due", waitedMs: 4000 },
    ]);
  });
});
