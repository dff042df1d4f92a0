/** Deliveries of notifications: attempts, retries and crashes, at exact times in a simulated cluster. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { Notification } from "../../src/contract/notification.ts";
import { retryDelayMs } from "../../src/domain/backoff.ts";
import { ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

/** Time to detect a silent scripted agent (its timeout and the second check of the alarm), then the group wait. */
const NOTICED_MS = 3200;
const NOTIFIED_MS = NOTICED_MS + 5000;

const CONFIG: ConfigInput = {
  failure_notification: { notification_types: ["webhook"] },
  webhook_notification: { url: "http://127.0.0.1:9/", retry_schedule_seconds: [10, 100] },
};

const answering = (...statuses: number[]) => {
  const left = [...statuses];
  return () => ({ status: left.length > 1 ? (left.shift() ?? 200) : (left[0] ?? 200), retryAfter: null });
};

async function withFailedAgent(config: ConfigInput = CONFIG): Promise<ScriptedCluster> {
  const cluster = new ScriptedCluster(config);
  await cluster.register("a");
  await cluster.register("b");
  cluster.silence("a");
  return cluster;
}

function notificationsOf(cluster: ScriptedCluster): Notification[] {
  const { items } = cluster.cluster.notifier.serve((service) => service.notifications({}, 500, null));
  return items.reverse();
}

const idsReceived = (cluster: ScriptedCluster) => new Set(cluster.cluster.received.map(({ id }) => id));

describe("a notification", () => {
  it("is retried on the schedule, each wait up to a fifth longer, under one id", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(500, 503, 200);
    await cluster.pass(NOTIFIED_MS + 3 * MINUTE_MS);
    const [message] = notificationsOf(cluster);
    expect(message).toMatchObject({ state: "delivered", try_count: 3, next_try_at: null, last_error: null });
    expect(message?.tries.map(({ outcome }) => outcome)).toEqual(["failed", "failed", "delivered"]);
    const atMs = message?.tries.map(({ at }) => Date.parse(at)) ?? [];
    const waits = [(atMs[1] ?? 0) - (atMs[0] ?? 0), (atMs[2] ?? 0) - (atMs[1] ?? 0)];
    for (const [wait, planned] of [
      [waits[0] ?? 0, 10 * SECOND_MS],
      [waits[1] ?? 0, 100 * SECOND_MS],
    ] as const) {
      expect(wait).toBeGreaterThanOrEqual(planned);
      expect(wait).toBeLessThan(planned * 1.2 + 200);
    }
    expect(cluster.cluster.received).toHaveLength(3);
    expect(idsReceived(cluster).size).toBe(1);
  });

  it("is retried after the time that its receiver asks for", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = () => ({ status: 429, retryAfter: "60" });
    await cluster.pass(NOTIFIED_MS + 55 * SECOND_MS);
    expect(cluster.cluster.received).toHaveLength(1);
    await cluster.pass(10 * SECOND_MS);
    expect(cluster.cluster.received).toHaveLength(2);
  });

  it("is dead after the last attempt, and an operator can redeliver it under the same id", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(500);
    await cluster.pass(NOTIFIED_MS + 3 * MINUTE_MS);
    const [dead] = notificationsOf(cluster);
    expect(dead).toMatchObject({ state: "dead", try_count: 3, next_try_at: null });
    expect(cluster.eventTypes()).toContain("notification.dead");

    cluster.cluster.answers = answering(200);
    const again = cluster.cluster.notifier.serve((service) => service.redeliver(dead?.id ?? ""));
    await cluster.pass(SECOND_MS);
    expect(await again).toMatchObject({ ok: true, value: { state: "delivered", id: dead?.id } });
    expect(idsReceived(cluster).size).toBe(1);
  });

  it("that was being sent when the server was killed is retried soon after the server starts again", async () => {
    const cluster = await withFailedAgent();
    const deadlineMs = cluster.world.nowMs + NOTIFIED_MS + SECOND_MS;
    await cluster.world.runUntil(() => notificationsOf(cluster).length > 0, NOTIFIED_MS + SECOND_MS, 1);
    expect(cluster.world.nowMs).toBeLessThan(deadlineMs);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "pending", try_count: 0 }]);
    cluster.silence("b");
    cluster.cluster.kill();
    await cluster.pass(10 * SECOND_MS);
    cluster.cluster.start();
    await cluster.pass(SECOND_MS);
    expect(notificationsOf(cluster)[0]?.state).toBe("delivered");
  });

  it("that was being sent when the notifier object was evicted is retried within seconds", async () => {
    const cluster = await withFailedAgent();
    await cluster.world.runUntil(() => notificationsOf(cluster).length > 0, NOTIFIED_MS + SECOND_MS, 1);
    cluster.cluster.notifier.end();
    await cluster.pass(6 * SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "delivered" }]);
  });

  it("that was not delivered is superseded by a newer one about the same incident", async () => {
    const cluster = await withFailedAgent({
      ...CONFIG,
      webhook_notification: { url: "http://127.0.0.1:9/", retry_schedule_seconds: [3600] },
    });
    cluster.cluster.answers = answering(500);
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    await cluster.register("a");
    cluster.cluster.answers = answering(200);
    await cluster.pass(6 * MINUTE_MS);
    expect(notificationsOf(cluster).map(({ state, status }) => [state, status])).toEqual([
      ["superseded", "firing"],
      ["delivered", "resolved"],
    ]);
  });

  it("is not sent after the receiver answered 410 Gone, until an operator redelivers one", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "dead", try_count: 1 }]);
    cluster.silence("b");
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "dead" }, { state: "dead" }]);
    expect(cluster.cluster.received).toHaveLength(1);

    cluster.cluster.answers = answering(200);
    const again = cluster.cluster.notifier.serve((service) =>
      service.redeliver(notificationsOf(cluster)[1]?.id ?? ""),
    );
    await cluster.pass(SECOND_MS);
    expect(await again).toMatchObject({ ok: true, value: { state: "delivered" } });
    await cluster.register("a");
    await cluster.pass(6 * MINUTE_MS);
    expect(notificationsOf(cluster).at(-1)).toMatchObject({ state: "delivered", status: "resolved" });
  });
});

describe("a webhook URL", () => {
  const configure = (cluster: ScriptedCluster, url: string) =>
    cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ webhook_notification: { url } }, null),
    );

  it("is not disabled by a 410 that the previous URL answered", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.world.runUntil(() => notificationsOf(cluster).length > 0, NOTIFIED_MS + SECOND_MS, 1);
    // The attempt to the old URL is in flight.
    void configure(cluster, "http://127.0.0.1:10/");
    await cluster.pass(SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "dead" }]);
    cluster.cluster.answers = answering(200);
    cluster.silence("b");
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "dead" }, { state: "delivered" }]);
  });

  it("that was disabled is retried on its schedule again after an operator redelivered", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    cluster.cluster.answers = answering(503, 200);
    void cluster.cluster.notifier.serve((service) =>
      service.redeliver(notificationsOf(cluster)[0]?.id ?? ""),
    );
    await cluster.pass(MINUTE_MS);
    expect(notificationsOf(cluster)).toMatchObject([{ state: "delivered", try_count: 2 }]);
  });
});

describe("the delivery log", () => {
  it("keeps undelivered notifications when thousands of newer ones are sent", async () => {
    const cluster = await withFailedAgent({
      ...CONFIG,
      failure_notification: { notification_types: ["webhook", "log"] },
      webhook_notification: { url: "http://127.0.0.1:9/", retry_schedule_seconds: [3600] },
    });
    cluster.cluster.answers = answering(500);
    await cluster.pass(NOTIFIED_MS + SECOND_MS);
    for (let count = 0; count < 2600; count++) {
      void cluster.cluster.notifier.serve((service) => service.test());
      await cluster.pass(200);
    }
    const { items } = cluster.cluster.notifier.serve((service) =>
      service.notifications({ state: "pending" }, 10, null),
    );
    expect(items).toMatchObject([{ channel: "webhook", kind: "incident" }]);
  });

  it("refuses a second test while one is running", async () => {
    const cluster = await withFailedAgent();
    const [first, second] = cluster.cluster.notifier.serve((service) => [service.test(), service.test()]);
    await cluster.pass(SECOND_MS);
    expect(await first).toMatchObject({ ok: true, value: [{ channel: "webhook", delivered: true }] });
    expect(await second).toMatchObject({ ok: false, problem: { code: "invalid_transition" } });
  });
});

describe("a channel that allows one message in an interval", () => {
  it("gets no second one when a digest is superseded, and every failure is delivered once it answers", async () => {
    const cluster = new ScriptedCluster({
      failure_notification: {
        notification_types: ["webhook"],
        max_messages_per_interval: 1,
        group_interval_seconds: 30,
      },
      webhook_notification: {
        url: "http://127.0.0.1:9/",
        retry_schedule_seconds: Array.from({ length: 20 }, () => 20),
      },
    });
    for (const id of ["a", "b", "c"]) await cluster.register(id);
    cluster.cluster.answers = answering(500);
    for (const id of ["a", "b", "c"]) {
      cluster.silence(id);
      await cluster.pass(NOTIFIED_MS + SECOND_MS);
    }
    await cluster.pass(MINUTE_MS);
    await cluster.register("b");
    cluster.silence("b");
    await cluster.pass(MINUTE_MS);
    cluster.cluster.answers = answering(200);
    await cluster.pass(5 * MINUTE_MS);
    const messages = notificationsOf(cluster).filter(({ state }) => state !== "superseded");
    const atMs = messages.map(({ at }) => Date.parse(at));
    for (const [index, at] of atMs.entries()) {
      expect(at - (atMs[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(30_000);
    }
    const delivered = messages.filter(({ state }) => state === "delivered");
    const covered = new Set(delivered.flatMap(({ dedup_keys }) => dedup_keys));
    expect(covered.size).toBe(3);
  });
});

describe("the delay before a retry", () => {
  it("is the planned wait, or the receiver's Retry-After if longer, and null after the last retry", () => {
    const scheduleMs = [1000, 2000];
    expect(retryDelayMs({ failures: 1, scheduleMs, retryAfterMs: null }, 0)).toBe(1000);
    expect(retryDelayMs({ failures: 2, scheduleMs, retryAfterMs: null }, 0.5)).toBe(2200);
    expect(retryDelayMs({ failures: 1, scheduleMs, retryAfterMs: 5000 }, 0.5)).toBe(5000);
    expect(retryDelayMs({ failures: 3, scheduleMs, retryAfterMs: 5000 }, 0)).toBeNull();
    expect(retryDelayMs({ failures: 1, scheduleMs: [], retryAfterMs: null }, 0)).toBeNull();
  });
});
