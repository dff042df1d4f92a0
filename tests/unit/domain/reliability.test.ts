/** How far an agent can be relied upon. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  newHistory,
  type ReliabilityEvent,
  reliabilityOf,
  samplesOf,
  withEvent,
} from "../../../src/domain/reliability.ts";

const DAY_MS = 86_400_000;
const events = fc.array(
  fc.record({
    event: fc.constantFrom<ReliabilityEvent>("task_completed", "task_failed", "agent_failed"),
    afterMs: fc.nat(DAY_MS),
  }),
  { maxLength: 50 },
);

function trackOf(history: { event: ReliabilityEvent; afterMs: number }[]) {
  let nowMs = 0;
  let track = newHistory(nowMs);
  for (const { event, afterMs } of history) {
    nowMs += afterMs;
    track = withEvent(track, event, nowMs);
  }
  return { track, nowMs };
}

describe("reliability", () => {
  it("is always within 0 and 1, rises with what is completed, and falls with what fails", () => {
    fc.assert(
      fc.property(events, (history) => {
        const { track, nowMs } = trackOf(history);
        const now = reliabilityOf(track, nowMs);
        expect(now).toBeGreaterThan(0);
        expect(now).toBeLessThanOrEqual(1);
        expect(reliabilityOf(withEvent(track, "task_completed", nowMs), nowMs)).toBeGreaterThan(now);
        expect(reliabilityOf(withEvent(track, "task_failed", nowMs), nowMs)).toBeLessThan(now);
      }),
    );
  });

  it("suffers more from an agent's failure than from a task's", () => {
    const track = newHistory(0);
    const byTask = reliabilityOf(withEvent(track, "task_failed", 0), 0);
    const byAgent = reliabilityOf(withEvent(track, "agent_failed", 0), 0);
    expect(byAgent).toBeLessThan(byTask);
  });

  it("forgets: what is long ago counts for little", () => {
    const track = withEvent(newHistory(0), "agent_failed", 0);
    const fresh = reliabilityOf(newHistory(0), 0);
    expect(reliabilityOf(track, 0)).toBeLessThan(0.6);
    expect(reliabilityOf(track, 30 * DAY_MS)).toBeCloseTo(fresh, 6);
  });

  it("tells how much is behind it, and forgets that too", () => {
    const track = withEvent(withEvent(newHistory(0), "task_completed", 0), "agent_failed", 0);
    expect(samplesOf(newHistory(0), 0)).toBe(0);
    expect(samplesOf(track, 0)).toBe(4);
    expect(samplesOf(track, DAY_MS)).toBeCloseTo(2, 9);
  });

  it("of somebody unknown is good enough for the default threshold", () => {
    expect(reliabilityOf(newHistory(0), 0)).toBeGreaterThan(0.8);
  });
});
