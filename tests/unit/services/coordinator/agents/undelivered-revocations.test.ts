/** Revocations that are to be told again: their number is bounded, and they end with their incarnation. */
import { describe, expect, it } from "vitest";
import { UndeliveredRevocations } from "../../../../../src/services/coordinator/agents/undelivered-revocations.ts";

const agent = (id: string, incarnation = 1) => ({ id, incarnation, status: "active" as const });
const revocations = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    taskId: `t${index}`,
    attempt: 1,
    reason: "cancelled" as const,
  }));

describe("revocations that were not heard", () => {
  it("are kept up to 10,000 of all agents, and there is room again for as many as are taken out", () => {
    const unheard = new UndeliveredRevocations();
    unheard.add(agent("a"), revocations(9_999), null, 0);
    unheard.add(agent("b"), revocations(5), null, 0);
    unheard.add(agent("c"), revocations(5), null, 0);
    expect(unheard.take(agent("b"))?.revoked).toHaveLength(1);
    expect(unheard.take(agent("c"))).toBeNull();
    expect(unheard.take(agent("a"))?.revoked).toHaveLength(9_999);
    unheard.add(agent("d"), revocations(10_001), null, 0);
    expect(unheard.take(agent("d"))?.revoked).toHaveLength(10_000);
    expect(unheard.nextWorkMs()).toBeNull();
  });

  it("are of one incarnation alone", () => {
    const unheard = new UndeliveredRevocations();
    unheard.add(agent("a", 1), revocations(2), null, 0);
    unheard.add(agent("a", 2), revocations(1), null, 0);
    expect(unheard.take(agent("a", 2))?.revoked).toHaveLength(1);
    unheard.add(agent("a", 2), revocations(1), null, 0);
    expect(unheard.due(() => agent("a", 3), 1000)).toEqual([]);
    expect(unheard.nextWorkMs()).toBeNull();
  });

  it("are told again after 1 s, 2 s, 4 s and so on, and given up after an hour or so; what came meanwhile is kept", () => {
    const unheard = new UndeliveredRevocations();
    const find = () => agent("a");
    const waits: number[] = [];
    unheard.add(agent("a"), revocations(1), null, 0);
    for (let lastMs = 0; ; ) {
      const nowMs = unheard.nextWorkMs();
      if (nowMs === null) break;
      waits.push((nowMs - lastMs) / 1000);
      lastMs = nowMs;
      expect(unheard.due(find, nowMs)).toEqual(["a"]);
      const before = unheard.take(agent("a"));
      // Another telling, begun later, may fail earlier.
      const isLast = waits.at(-1) === 2048;
      if (isLast) unheard.add(agent("a"), revocations(3), null, nowMs);
      unheard.add(agent("a"), revocations(1), before, nowMs);
      if (isLast) break;
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]);
    expect(unheard.take(agent("a"))).toEqual({ revoked: revocations(3), waitedMs: 1000 });
    expect(unheard.nextWorkMs()).toBeNull();
  });
});
