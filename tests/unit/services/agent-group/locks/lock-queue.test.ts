import { describe, expect, it } from "vitest";
import type { LockQueue } from "../../../../../src/services/agent-group/locks/lock-queue.ts";
import { GroupParts } from "../../../../support/group-parts.ts";

function queueIn(parts: GroupParts) {
  const { lockQueue } = parts.context;
  const draft = (agentId: string, resource: string, waitMs: number) => ({
    resource,
    agentId,
    incarnation: 1,
    ttlMs: 10_000,
    waitMs,
    requestId: null,
  });
  const change = <Result>(work: (queue: LockQueue, nowMs: number) => Result): Result =>
    parts.unit.commit((nowMs) => work(lockQueue, nowMs));
  return {
    queue: lockQueue,
    change,
    join: (agentId: string, resource = "disk", waitMs = 30_000) =>
      change((queue, nowMs) => queue.join(draft(agentId, resource, waitMs), nowMs)),
    askAgain: (agentId: string, waitMs: number) =>
      change((queue, nowMs) => {
        const waiter = queue.find("disk", agentId);
        if (waiter === undefined) throw new Error(`${agentId} does not wait`);
        return queue.requeue(waiter, draft(agentId, "disk", waitMs), nowMs);
      }),
    order: () => lockQueue.waiters("disk").map(({ agentId }) => agentId),
    rows: () =>
      parts.host.sql
        .all<{ id: string }>("SELECT agent_id AS id FROM lock_waiters ORDER BY position")
        .map(({ id }) => id),
  };
}

describe("a lock's queue", () => {
  it("is first in, first out, also after a restart", () => {
    const parts = new GroupParts();
    const { join, order, rows } = queueIn(parts);
    for (const agentId of ["c", "a", "b"]) join(agentId);
    expect(order()).toEqual(["c", "a", "b"]);
    expect(rows()).toEqual(["c", "a", "b"]);
    const restarted = queueIn(parts.restarted());
    restarted.join("d");
    expect(restarted.order()).toEqual(["c", "a", "b", "d"]);
    expect(restarted.queue.head("disk")?.agentId).toBe("c");
  });

  it("keeps the position of an agent that asks again, and prolongs its wait", () => {
    const parts = new GroupParts();
    const { join, askAgain, order } = queueIn(parts);
    const first = join("a", "disk", 5000);
    join("b");
    parts.host.nowMs += 2000;
    const again = askAgain("a", 5000);
    expect(order()).toEqual(["a", "b"]);
    expect(again.position).toBe(first.position);
    expect(again.endsAtMs).toBe(first.endsAtMs + 2000);
    expect(queueIn(parts.restarted()).change((queue) => queue.find("disk", "a"))).toEqual(again);
  });

  it("does not shorten a wait, and writes no row for a wait that hardly grows", () => {
    const parts = new GroupParts();
    const { join, askAgain } = queueIn(parts);
    const first = join("a", "disk", 5000);
    expect(askAgain("a", 1000).endsAtMs).toBe(first.endsAtMs);
    parts.host.nowMs += 900;
    expect(askAgain("a", 5000).endsAtMs).toBe(first.endsAtMs + 900);
    const stored = queueIn(parts.restarted()).change((queue) => queue.find("disk", "a"));
    expect(stored?.endsAtMs).toBe(first.endsAtMs);
  });

  it("forgets an agent that leaves, in memory and in storage", () => {
    const { join, change, queue, order, rows } = queueIn(new GroupParts());
    const waiter = join("a");
    join("b");
    join("a", "tape");
    change((lockQueue) => lockQueue.leave(waiter));
    change((lockQueue) => lockQueue.leave(waiter));
    expect(order()).toEqual(["b"]);
    expect(rows()).toEqual(["b", "a"]);
    expect(queue.count).toBe(2);
    expect(queue.countOf("a")).toBe(1);
    expect(queue.waitsOf("a").map(({ resource }) => resource)).toEqual(["tape"]);
  });

  it("names the waits that are over", () => {
    const parts = new GroupParts();
    const { join, queue } = queueIn(parts);
    join("a", "disk", 5000);
    join("b", "tape", 1000);
    const { nowMs } = parts.host;
    expect(queue.earliestEndMs).toBe(nowMs + 1000);
    expect(queue.overdue(nowMs + 999)).toEqual([]);
    expect(queue.overdue(nowMs + 1000)).toMatchObject([{ agentId: "b" }]);
  });

  it("gives every waiter its whole wait again after an outage, at most twice", () => {
    const parts = new GroupParts();
    const { join, change, queue } = queueIn(parts);
    join("a", "disk", 5000);
    const { nowMs } = parts.host;
    for (const laterMs of [10_000, 20_000, 30_000]) {
      change((lockQueue) => lockQueue.extendAll(nowMs + laterMs));
    }
    expect(queue.earliestEndMs).toBe(nowMs + 25_000);
  });
});
