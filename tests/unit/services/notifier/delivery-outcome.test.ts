import { describe, expect, it } from "vitest";
import { type Notification, TRIES_KEPT } from "../../../../src/contract/notification.ts";
import { DELIVERED, type Delivery, failed } from "../../../../src/notifications/channel.ts";
import { afterAttempt } from "../../../../src/services/notifier/delivery-outcome.ts";

const PLAN = { scheduleMs: [1000, 5000], chance: 0 };
const STARTED_MS = Date.parse("2026-01-31T09:05:00.000Z");

function notification(more: Partial<Notification> = {}): Notification {
  return {
    id: "n1",
    at: "2026-01-31T09:05:00.000Z",
    channel: "webhook",
    kind: "incident",
    status: "firing",
    severity: "error",
    subject: "worker-7 failed",
    dedup_keys: ["demo/1"],
    state: "pending",
    try_count: 0,
    tries: [],
    next_try_at: null,
    last_error: null,
    ...more,
  };
}

const settled = (delivery: Delivery, before = notification(), plan = PLAN) =>
  afterAttempt(before, { delivery, startedMs: STARTED_MS, endedMs: STARTED_MS + 250 }, plan);

describe("a message after an attempt", () => {
  it("is delivered, with what an operator should know", () => {
    const { notification: next, nextTryAtMs } = settled({ isDelivered: true, note: "1 recipient refused" });
    expect(next).toMatchObject({ state: "delivered", try_count: 1, last_error: "1 recipient refused" });
    expect(next.tries).toEqual([
      {
        at: "2026-01-31T09:05:00.000Z",
        outcome: "delivered",
        duration_seconds: 0.25,
        error: "1 recipient refused",
        next_try_at: null,
      },
    ]);
    expect(nextTryAtMs).toBeNull();
  });

  it("waits for its next attempt while the schedule has one", () => {
    const { notification: next, nextTryAtMs } = settled(failed("no answer"), notification({ try_count: 1 }));
    expect(next).toMatchObject({ state: "pending", try_count: 2, last_error: "no answer" });
    expect(nextTryAtMs).toBe(STARTED_MS + 250 + 5000);
    expect(next.next_try_at).toBe("2026-01-31T09:05:05.250Z");
  });

  it("waits at least as long as the receiver asks", () => {
    const { nextTryAtMs } = settled(failed("answered 429", { retryAfterMs: 60_000 }));
    expect(nextTryAtMs).toBe(STARTED_MS + 250 + 60_000);
  });

  it.each([
    ["the schedule has ended", settled(failed("no answer"), notification({ try_count: 2 }))],
    ["another attempt cannot succeed", settled(failed("answered 404", { isPermanent: true }))],
    ["it is a test", settled(failed("no answer"), notification({ kind: "test" }))],
  ])("is dead if it failed and %s", (_, { notification: next, nextTryAtMs }) => {
    expect(next.state).toBe("dead");
    expect(nextTryAtMs).toBeNull();
  });

  it("keeps its latest attempts", () => {
    const long = { scheduleMs: Array.from({ length: 100 }, () => 1000), chance: 0 };
    let current = notification();
    for (let count = 0; count < TRIES_KEPT + 5; count++) {
      current = settled(failed(`error ${count}`), current, long).notification;
    }
    expect(current.try_count).toBe(TRIES_KEPT + 5);
    expect(current.tries).toHaveLength(TRIES_KEPT);
    expect(current.tries[0]?.error).toBe("error 5");
    expect(settled(DELIVERED, current, long).notification.state).toBe("delivered");
  });
});
