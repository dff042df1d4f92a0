/** Reading pending tasks in the order of urgency. */
import { describe, expect, it } from "vitest";
import { mostUrgent, PendingQueue } from "../../../../../src/services/coordinator/tasks/pending-queue.ts";
import type { PendingTask } from "../../../../../src/storage/coordinator/tasks/pending-queue.ts";
import type { QueuePosition } from "../../../../../src/storage/coordinator/tasks/task-table.ts";

/** A store with tasks of these urgencies, which counts the pages that were read. */
function storeOf(urgencies: readonly number[]) {
  const tasks = urgencies.map(
    (urgency, index): PendingTask => ({ id: `t${urgency}`, urgency, number: index }),
  );
  const store = {
    pagesRead: 0,
    page(_: string, after: QueuePosition | null, { limit }: { nowMs: number; limit: number }) {
      store.pagesRead += 1;
      const rest = tasks.filter(({ number }) => after === null || number > after.number);
      return rest.slice(0, limit);
    },
  };
  return store;
}

const count = (length: number) => Array.from({ length }, (_, index) => index);

describe("a pending queue", () => {
  it("has every task once, in order, and reads no further than needed", () => {
    const store = storeOf(count(25));
    const queue = new PendingQueue(store, "resize");
    expect(queue.headUrgency(0)).toBe(0);
    expect(store.pagesRead).toBe(1);
    const taken: (string | undefined)[] = [];
    while (queue.headUrgency(0) !== null) taken.push(queue.take()?.id);
    expect(taken).toEqual(count(25).map((urgency) => `t${urgency}`));
    expect(store.pagesRead).toBe(3);
  });

  it("ends with a page that is exactly full", () => {
    const queue = new PendingQueue(storeOf(count(10)), "resize");
    for (const _ of count(10)) {
      queue.headUrgency(0);
      queue.take();
    }
    expect(queue.headUrgency(0)).toBeNull();
    expect(queue.take()).toBeUndefined();
  });
});

describe("the most urgent of several queues", () => {
  it("is the one with the lowest urgency, the first of equal ones, and none if all are empty", () => {
    const low = new PendingQueue(storeOf([5]), "low");
    const high = new PendingQueue(storeOf([1, 5]), "high");
    const empty = new PendingQueue(storeOf([]), "empty");
    expect(mostUrgent([empty, low, high], 0)).toBe(high);
    high.take();
    expect(mostUrgent([empty, low, high], 0)).toBe(low);
    expect(mostUrgent([empty], 0)).toBeNull();
  });
});
