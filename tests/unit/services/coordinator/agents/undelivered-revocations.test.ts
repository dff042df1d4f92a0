/** Revocations that are to be delivered again: their number is bounded, and they end with their incarnation. */
import { describe, expect, it } from "vitest";
import { UndeliveredRevocations } from "../../../../../src/services/coordinator/agents/undelivered-revocations.ts";

const agent = (id: string, incarnation = 1) => ({ id, incarnation, status: "active" as const });
const revocations = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    taskId: `t${index}`,
    attempt: 1,
    reason: "cancelled" as const,
  }));

describe("revocations that were not delivered", () => {
  it("are kept up to 10,000 of all agents, and each removal makes room for another", () => {
    const undelivered = new UndeliveredRevocations();
    undelivered.add(agent("a"), { revoked: revocations(9_999), before: null }, 0);
    undelivered.add(agent("b"), { revoked: revocations(5), before: null }, 0);
    undelivered.add(agent("c"), { revoked: revocations(5), before: null }, 0);
    expect(undelivered.take(agent("b"))?.revoked).toHaveLength(1);
    expect(undelivered.take(agent("c"))).toBeNull();
    expect(undelivered.take(agent("a"))?.revoked).toHaveLength(9_999);
    undelivered.add(agent("d"), { revoked: revocations(10_001), before: null }, 0);
    expect(undelivered.take(agent("d"))?.revoked).toHaveLength(10_000);
    expect(undelivered.nextWorkMs()).toBeNull();
  });

  it("belong to one incarnation", () => {
    const undelivered = new UndeliveredRevocations();
    undelivered.add(agent("a", 1), { revoked: revocations(2), before: null }, 0);
    undelivered.add(agent("a", 2), { revoked: revocations(1), before: null }, 0);
    expect(undelivered.take(agent("a", 2))?.revoked).toHaveLength(1);
    undelivered.add(agent("a", 2), { revoked: revocations(1), before: null }, 0);
    expect(undelivered.due(() => agent("a", 3), 1000)).toEqual([]);
    expect(undelivered.nextWorkMs()).toBeNull();
  });

  it("are retried after 1 s, 2 s, 4 s and so on, and dropped after about an hour; newer ones are kept", () => {
    const undelivered = new UndeliveredRevocations();
    const find = () => agent("a");
    const waits: number[] = [];
    undelivered.add(agent("a"), { revoked: revocations(1), before: null }, 0);
    for (let lastMs = 0; ; ) {
      const nowMs = undelivered.nextWorkMs();
      if (nowMs === null) break;
      waits.push((nowMs - lastMs) / 1000);
      lastMs = nowMs;
      expect(undelivered.due(find, nowMs)).toEqual(["a"]);
      const before = undelivered.take(agent("a"));
      // Another delivery, begun later, may fail earlier.
      const isLast = waits.at(-1) === 2048;
      if (isLast) undelivered.add(agent("a"), { revoked: revocations(3), before: null }, nowMs);
      undelivered.add(agent("a"), { revoked: revocations(1), before }, nowMs);
      if (isLast) break;
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]);
    expect(undelivered.take(agent("a"))).toEqual({ revoked: revocations(3), waitedMs: 1000 });
    expect(undelivered.nextWorkMs()).toBeNull();
  });
});
