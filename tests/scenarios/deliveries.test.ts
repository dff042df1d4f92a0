/** What becomes of a message: tries, retries, crashes. Exact times in a simulated cluster. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { Notification } from "../../src/contract/notification.ts";
import { retryDelayMs } from "../../src/domain/backoff.ts";
import { ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

/** The timeout of scripted agents and the second look of the alarm, then the group wait. */
const NOTICED_MS = 3200;
const TOLD_MS = NOTICED_MS + 5000;

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

function told(cluster: ScriptedCluster): Notification[] {
  const { items } = cluster.cluster.notifier.serve((service) => service.notifications({}, 500, null));
  return items.reverse();
}

const idsReceived = (cluster: ScriptedCluster) => new Set(cluster.cluster.received.map(({ id }) => id));

describe("a message", () => {
  it("is tried again by the schedule, each wait up to a fifth longer, under one id", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(500, 503, 200);
    await cluster.pass(TOLD_MS + 3 * MINUTE_MS);
    const [message] = told(cluster);
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

  it("waits as long as its receiver asks for", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = () => ({ status: 429, retryAfter: "60" });
    await cluster.pass(TOLD_MS + 55 * SECOND_MS);
    expect(cluster.cluster.received).toHaveLength(1);
    await cluster.pass(10 * SECOND_MS);
    expect(cluster.cluster.received).toHaveLength(2);
  });

  it("is dead after the last try, and is sent again under its id when somebody asks", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(500);
    await cluster.pass(TOLD_MS + 3 * MINUTE_MS);
    const [dead] = told(cluster);
    expect(dead).toMatchObject({ state: "dead", try_count: 3, next_try_at: null });
    expect(cluster.eventTypes()).toContain("notification.dead");

    cluster.cluster.answers = answering(200);
    const again = cluster.cluster.notifier.serve((service) => service.redeliver(dead?.id ?? ""));
    await cluster.pass(SECOND_MS);
    expect(await again).toMatchObject({ ok: true, value: { state: "delivered", id: dead?.id } });
    expect(idsReceived(cluster).size).toBe(1);
  });

  it("that was under way when the server was killed is tried again soon after its return", async () => {
    const cluster = await withFailedAgent();
    const deadlineMs = cluster.world.nowMs + TOLD_MS + SECOND_MS;
    await cluster.world.runUntil(() => told(cluster).length > 0, TOLD_MS + SECOND_MS, 1);
    expect(cluster.world.nowMs).toBeLessThan(deadlineMs);
    expect(told(cluster)).toMatchObject([{ state: "pending", try_count: 0 }]);
    cluster.silence("b");
    cluster.cluster.kill();
    await cluster.pass(10 * SECOND_MS);
    cluster.cluster.start();
    await cluster.pass(SECOND_MS);
    expect(told(cluster)[0]?.state).toBe("delivered");
  });

  it("that was under way when only its object was lost is tried again within seconds", async () => {
    const cluster = await withFailedAgent();
    await cluster.world.runUntil(() => told(cluster).length > 0, TOLD_MS + SECOND_MS, 1);
    cluster.cluster.notifier.end();
    await cluster.pass(6 * SECOND_MS);
    expect(told(cluster)).toMatchObject([{ state: "delivered" }]);
  });

  it("that did not arrive gives way to a newer one about the same incident", async () => {
    const cluster = await withFailedAgent({
      ...CONFIG,
      webhook_notification: { url: "http://127.0.0.1:9/", retry_schedule_seconds: [3600] },
    });
    cluster.cluster.answers = answering(500);
    await cluster.pass(TOLD_MS + SECOND_MS);
    await cluster.register("a");
    cluster.cluster.answers = answering(200);
    await cluster.pass(6 * MINUTE_MS);
    expect(told(cluster).map(({ state, status }) => [state, status])).toEqual([
      ["superseded", "firing"],
      ["delivered", "resolved"],
    ]);
  });

  it("is not sent any more once its receiver is gone, until somebody asks for it", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.pass(TOLD_MS + SECOND_MS);
    expect(told(cluster)).toMatchObject([{ state: "dead", try_count: 1 }]);
    cluster.silence("b");
    await cluster.pass(TOLD_MS + SECOND_MS);
    expect(told(cluster)).toMatchObject([{ state: "dead" }, { state: "dead" }]);
    expect(cluster.cluster.received).toHaveLength(1);

    cluster.cluster.answers = answering(200);
    const again = cluster.cluster.notifier.serve((service) => service.redeliver(told(cluster)[1]?.id ?? ""));
    await cluster.pass(SECOND_MS);
    expect(await again).toMatchObject({ ok: true, value: { state: "delivered" } });
    await cluster.register("a");
    await cluster.pass(6 * MINUTE_MS);
    expect(told(cluster).at(-1)).toMatchObject({ state: "delivered", status: "resolved" });
  });
});

describe("a webhook's address", () => {
  const configure = (cluster: ScriptedCluster, url: string) =>
    cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ webhook_notification: { url } }, null),
    );

  it("is not switched off by what the one before it answered", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.world.runUntil(() => told(cluster).length > 0, TOLD_MS + SECOND_MS, 1);
    // The try is under way, to the old address.
    void configure(cluster, "http://127.0.0.1:10/");
    await cluster.pass(SECOND_MS);
    expect(told(cluster)).toMatchObject([{ state: "dead" }]);
    cluster.cluster.answers = answering(200);
    cluster.silence("b");
    await cluster.pass(TOLD_MS + SECOND_MS);
    expect(told(cluster)).toMatchObject([{ state: "dead" }, { state: "delivered" }]);
  });

  it("that was switched off is tried by its schedule again once somebody asked", async () => {
    const cluster = await withFailedAgent();
    cluster.cluster.answers = answering(410);
    await cluster.pass(TOLD_MS + SECOND_MS);
    cluster.cluster.answers = answering(503, 200);
    void cluster.cluster.notifier.serve((service) => service.redeliver(told(cluster)[0]?.id ?? ""));
    await cluster.pass(MINUTE_MS);
    expect(told(cluster)).toMatchObject([{ state: "delivered", try_count: 2 }]);
  });
});

describe("the delivery log", () => {
  it("keeps what has not arrived, however much is sent after it", async () => {
    const cluster = await withFailedAgent({
      ...CONFIG,
      failure_notification: { notification_types: ["webhook", "log"] },
      webhook_notification: { url: "http://127.0.0.1:9/", retry_schedule_seconds: [3600] },
    });
    cluster.cluster.answers = answering(500);
    await cluster.pass(TOLD_MS + SECOND_MS);
    for (let count = 0; count < 2600; count++) {
      void cluster.cluster.notifier.serve((service) => service.test());
      await cluster.pass(200);
    }
    const { items } = cluster.cluster.notifier.serve((service) =>
      service.notifications({ state: "pending" }, 10, null),
    );
    expect(items).toMatchObject([{ channel: "webhook", kind: "incident" }]);
  });

  it("takes one test at a time", async () => {
    const cluster = await withFailedAgent();
    const [first, second] = cluster.cluster.notifier.serve((service) => [service.test(), service.test()]);
    await cluster.pass(SECOND_MS);
    expect(await first).toMatchObject({ ok: true, value: [{ channel: "webhook", delivered: true }] });
    expect(await second).toMatchObject({ ok: false, problem: { code: "invalid_transition" } });
  });
});

describe("a channel that bears one message in an interval", () => {
  it("gets no second one for a digest that gives way, and nobody in it is forgotten", async () => {
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
      await cluster.pass(TOLD_MS + SECOND_MS);
    }
    await cluster.pass(MINUTE_MS);
    await cluster.register("b");
    cluster.silence("b");
    await cluster.pass(MINUTE_MS);
    cluster.cluster.answers = answering(200);
    await cluster.pass(5 * MINUTE_MS);
    const messages = told(cluster).filter(({ state }) => state !== "superseded");
    const atMs = messages.map(({ at }) => Date.parse(at));
    for (const [index, at] of atMs.entries()) {
      expect(at - (atMs[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(30_000);
    }
    const delivered = messages.filter(({ state }) => state === "delivered");
    const covered = new Set(delivered.flatMap(({ dedup_keys }) => dedup_keys));
    expect(covered.size).toBe(3);
  });
});

describe("a retry", () => {
  it("comes after the planned wait, the asked one if that is longer, and not at all after the last", () => {
    const scheduleMs = [1000, 2000];
    expect(retryDelayMs({ failures: 1, scheduleMs, retryAfterMs: null }, 0)).toBe(1000);
    expect(retryDelayMs({ failures: 2, scheduleMs, retryAfterMs: null }, 0.5)).toBe(2200);
    expect(retryDelayMs({ failures: 1, scheduleMs, retryAfterMs: 5000 }, 0.5)).toBe(5000);
    expect(retryDelayMs({ failures: 3, scheduleMs, retryAfterMs: 5000 }, 0)).toBeNull();
    expect(retryDelayMs({ failures: 1, scheduleMs: [], retryAfterMs: null }, 0)).toBeNull();
  });
});
