/** Incidents: what is grouped into one notification, when it is sent, how often, and to which channels. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { Incident } from "../../src/contract/incident.ts";
import type { Notification } from "../../src/contract/notification.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import { ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The timeout of the scripted agents, and the second check of the alarm. */
const NOTICED_MS = 3200;

const WEBHOOK: ConfigInput = {
  failure_notification: { notification_types: ["webhook"] },
  webhook_notification: { url: "http://127.0.0.1:9/" },
};

function notificationsOf(cluster: ScriptedCluster): Notification[] {
  return cluster.cluster.notifier.serve((service) => service.notifications({}, 500, null)).items.reverse();
}

function incidents(cluster: ScriptedCluster): Incident[] {
  return cluster.cluster.notifier.serve((service) => service.incidents({}, 500, null)).items.reverse();
}

/** The data of each notification that the webhook received. */
function bodies(cluster: ScriptedCluster): { status: string; kind: string; incident: Incident }[] {
  return cluster.cluster.received.map(({ body }) => (body as { data: never }).data);
}

async function fail(cluster: ScriptedCluster, ...agents: string[]): Promise<void> {
  for (const agent of agents) cluster.silence(agent);
  await cluster.pass(NOTICED_MS);
}

describe("one failed agent", () => {
  it("is notified after the group wait, with what happened to its tasks and locks", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a", { capabilities: ["resize", "engrave"] });
    await cluster.submit({ id: "t1" });
    await cluster.submit({ id: "t2", type: "engrave" });
    await cluster.register("b");
    cluster.cluster
      .group("default")
      .serve((service) => service.locks.acquire("orders", { agent_id: "a", ttl_seconds: 60 }, ADMIN));
    await fail(cluster, "a");
    await cluster.pass(4 * SECOND_MS);
    expect(notificationsOf(cluster)).toEqual([]);
    await cluster.pass(2 * SECOND_MS);
    expect(notificationsOf(cluster)).toMatchObject([
      { channel: "webhook", kind: "incident", status: "firing", severity: "error", state: "delivered" },
    ]);
    const [message] = bodies(cluster);
    expect(message?.incident).toMatchObject({
      status: "firing",
      // The agent's own failure, and the one of its task that no other agent can take.
      failures: 2,
      agents_failed: 1,
      agents_recovered: 0,
      tasks_reassigned: 1,
      tasks_pending: 1,
      locks_released: 1,
      groups: { default: 1 },
      entries: [
        {
          agent_id: "a",
          status: "failed",
          failures: 1,
          moved: [{ task_id: "t1", to: "b" }],
          stranded: ["t2"],
        },
      ],
      entries_omitted: 0,
    });
  });

  it("is notified as resolved under the same key once it is back, after the group interval", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.pass(10 * SECOND_MS);
    await cluster.register("a");
    await cluster.pass(4 * MINUTE_MS);
    expect(notificationsOf(cluster)).toHaveLength(1);
    await cluster.pass(MINUTE_MS);
    expect(notificationsOf(cluster).map(({ status }) => status)).toEqual(["firing", "resolved"]);
    expect(new Set(notificationsOf(cluster).flatMap(({ dedup_keys }) => dedup_keys)).size).toBe(1);
    expect(bodies(cluster)[1]?.incident).toMatchObject({
      agents_recovered: 1,
      entries: [{ status: "recovered", ended_by: "returned" }],
    });
    await cluster.pass(6 * HOUR_MS);
    expect(notificationsOf(cluster)).toHaveLength(2);
  });

  it("is notified once, as resolved, when it was back before the group wait ended", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.register("a");
    await cluster.pass(HOUR_MS);
    expect(notificationsOf(cluster).map(({ status }) => status)).toEqual(["resolved"]);
  });

  it("is notified again after the repeat interval while nothing changes", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.pass(9 * HOUR_MS);
    expect(notificationsOf(cluster).map(({ status }) => status)).toEqual(["firing", "firing", "firing"]);
  });

  it("is resolved when an operator drops it", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.pass(10 * SECOND_MS);
    cluster.cluster.coordinator.serve((service) => service.forget("a"));
    await cluster.pass(6 * MINUTE_MS);
    expect(bodies(cluster).at(-1)).toMatchObject({
      status: "resolved",
      incident: { entries: [{ ended_by: "unregistered" }] },
    });
  });

  it("is not notified below min_severity, nor when notification is off", async () => {
    for (const failure_notification of [{ min_severity: "critical" as const }, { enabled: false }]) {
      const cluster = new ScriptedCluster({ failure_notification });
      await cluster.register("a");
      await fail(cluster, "a");
      await cluster.pass(HOUR_MS);
      expect(cluster.failures()).toHaveLength(1);
      expect(notificationsOf(cluster)).toEqual([]);
      expect(incidents(cluster)).toEqual([]);
    }
  });

  it("is notified only through channels whose threshold it reaches", async () => {
    const cluster = new ScriptedCluster({
      ...WEBHOOK,
      failure_notification: {
        notification_types: ["log", "webhook"],
        channel_min_severity: { webhook: "critical" },
      },
    });
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.pass(MINUTE_MS);
    expect(notificationsOf(cluster).map(({ channel }) => channel)).toEqual(["log"]);
  });
});

describe("many failed agents", () => {
  const agents = Array.from({ length: 200 }, (_, index) => `agent-${index}`);

  it("are one notification with counts, and one more when all are back", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    for (const agent of agents) await cluster.register(agent);
    // The last heartbeats are spread over an interval, and so are the failures.
    for (const agent of agents) {
      cluster.silence(agent);
      await cluster.pass(50);
    }
    await cluster.pass(MINUTE_MS);
    expect(notificationsOf(cluster)).toHaveLength(1);
    const [message] = bodies(cluster);
    expect(message?.incident).toMatchObject({
      failures: 200,
      agents_failed: 200,
      agents_recovered: 0,
      groups: { default: 200 },
      entries_omitted: 150,
    });
    expect(message?.incident.entries).toHaveLength(50);

    for (const agent of agents) await cluster.register(agent);
    await cluster.pass(10 * MINUTE_MS);
    expect(notificationsOf(cluster).map(({ status }) => status)).toEqual(["firing", "resolved"]);
    expect(bodies(cluster)[1]?.incident).toMatchObject({ agents_failed: 200, agents_recovered: 200 });
  });

  it("that fail one after the other are notified before the last of them has failed", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    for (const agent of agents.slice(0, 20)) await cluster.register(agent);
    for (const agent of agents.slice(0, 20)) {
      cluster.silence(agent);
      await cluster.pass(4 * SECOND_MS);
    }
    // Six group waits after the first failure, although more failures follow.
    const first = cluster.failures().at(-1);
    const openedMs = Date.parse(first?.at ?? "");
    const notifiedMs = Date.parse(notificationsOf(cluster)[0]?.at ?? "");
    expect(notifiedMs - openedMs).toBeGreaterThanOrEqual(30 * SECOND_MS - 100);
    expect(notifiedMs - openedMs).toBeLessThan(31 * SECOND_MS);
  });
});

describe("a channel", () => {
  it("gets at most its limit in an interval, and one digest covers the rest", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    const agents = Array.from({ length: 12 }, (_, index) => `agent-${index}`);
    for (const agent of agents) await cluster.register(agent);
    for (const agent of agents) {
      await fail(cluster, agent);
      await cluster.pass(12 * SECOND_MS);
    }
    await cluster.pass(10 * MINUTE_MS);
    const messages = notificationsOf(cluster);
    for (const { at } of messages) {
      const endMs = Date.parse(at);
      const within = messages.filter((other) => {
        const otherMs = Date.parse(other.at);
        return otherMs <= endMs && otherMs > endMs - 5 * MINUTE_MS;
      });
      expect(within.length).toBeLessThanOrEqual(5);
    }
    expect(messages.map(({ kind }) => kind)).toEqual([...Array(5).fill("incident"), "digest"]);
    expect(new Set(messages.flatMap(({ dedup_keys }) => dedup_keys)).size).toBe(12);
  });
});

describe("an agent that flaps", () => {
  it("twenty times in ten minutes is notified at most three times, and all its failures are counted", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    for (let flap = 0; flap < 20; flap++) {
      await fail(cluster, "a");
      await cluster.pass(12 * SECOND_MS);
      await cluster.register("a");
      await cluster.pass(14_700);
    }
    expect(cluster.failures()).toHaveLength(20);
    await cluster.pass(3 * HOUR_MS);
    const messages = notificationsOf(cluster);
    expect(messages.map(({ status }) => status)).toEqual(["firing", "firing", "resolved"]);
    expect(new Set(messages.flatMap(({ dedup_keys }) => dedup_keys)).size).toBe(1);
    expect(bodies(cluster)[1]?.incident).toMatchObject({ agents_flapping: 1 });
    expect(bodies(cluster)[2]?.incident).toMatchObject({
      failures: 20,
      agents_failed: 1,
      entries: [{ status: "recovered", failures: 20 }],
    });
  });

  it("for two hours is notified less and less often", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    for (let flap = 0; flap < 240; flap++) {
      await fail(cluster, "a");
      await cluster.register("a");
      await cluster.pass(26_000);
    }
    // After 5 s, 5, 15, 35 and 75 minutes.
    expect(notificationsOf(cluster)).toHaveLength(5);
  });
});

describe("an agent whose tasks no other agent can take", () => {
  const STRANDED = 250;

  async function withManyTasks(): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("big", { max_concurrent_tasks: STRANDED });
    await cluster.register("other", { capabilities: [] });
    for (let index = 0; index < STRANDED; index++) await cluster.submit({ id: `t${index}` });
    return cluster;
  }

  const report = (cluster: ScriptedCluster) =>
    cluster.cluster
      .group("default")
      .serve((service) => service.reportFailure("big", { failure_type: "reported" }));

  it("is one resolved entry when it returns in the middle of its failover", async () => {
    const cluster = await withManyTasks();
    void report(cluster);
    await cluster.register("big", { max_concurrent_tasks: STRANDED });
    await cluster.pass(10 * MINUTE_MS);
    const [incident] = incidents(cluster);
    expect(incident).toMatchObject({ status: "resolved", agents_failed: 1, agents_recovered: 1 });
    expect(incident?.entries).toHaveLength(1);
    expect(incident?.tasks_pending).toBeLessThanOrEqual(STRANDED);
  });

  it("has no second failure when an operator drops it in the middle of its failover", async () => {
    const cluster = await withManyTasks();
    void report(cluster);
    await cluster.world.runUntil(() => cluster.failures().length > 0, SECOND_MS, 1);
    cluster.cluster.coordinator.serve((service) => service.forget("big"));
    await cluster.pass(10 * MINUTE_MS);
    expect(incidents(cluster)).toMatchObject([
      { status: "resolved", entries: [{ agent_id: "big", failures: 1, ended_by: "unregistered" }] },
    ]);
  });
});

describe("a message", () => {
  const linkOf = async (config: ConfigInput) => {
    const cluster = new ScriptedCluster(config);
    await cluster.register("a");
    await fail(cluster, "a");
    await cluster.pass(6 * SECOND_MS);
    return cluster.cluster.received.map(
      ({ body }) => (body as { data: { dashboard_url: unknown } }).data.dashboard_url,
    );
  };

  it("links to the page that dashboard_url names, and to none without it", async () => {
    expect(await linkOf(WEBHOOK)).toEqual([null]);
    const dashboard_url = "https://status.example/";
    const failure_notification = { ...WEBHOOK.failure_notification, dashboard_url };
    expect(await linkOf({ ...WEBHOOK, failure_notification })).toEqual([dashboard_url]);
  });
});

describe("a failure that a caller reports", () => {
  it("is the agent's failure, even when its type and details name a task", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    for (const failure_type of ["task_failure", "no_suitable_agent"]) {
      await cluster.register("a");
      const details = { task_id: "job-7", task_count: -5, task_ids: ["<b>"], caused_by: "nothing" };
      void cluster.cluster
        .group("default")
        .serve((service) => service.reportFailure("a", { failure_type, details }));
      await cluster.pass(SECOND_MS);
    }
    await cluster.register("a");
    await cluster.pass(10 * MINUTE_MS);
    expect(incidents(cluster)).toMatchObject([
      {
        status: "resolved",
        agents_failed: 1,
        failed_task_entries: 0,
        tasks_pending: 0,
        entries: [{ agent_id: "a", task_id: null, failures: 2, stranded: [] }],
      },
    ]);
  });
});

describe("a task's failure", () => {
  it("is notified once, and resolved when the task is completed", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await cluster.submit({ id: "t1" });
    cluster.start("t1", "a", 1);
    cluster.fail("t1", "a", 1);
    await cluster.pass(10 * SECOND_MS);
    expect(bodies(cluster)).toMatchObject([
      {
        status: "firing",
        incident: { agents_failed: 0, failed_task_entries: 1, entries: [{ task_id: "t1" }] },
      },
    ]);
    cluster.complete("t1", "a", 2, "done");
    await cluster.pass(10 * MINUTE_MS);
    expect(bodies(cluster).map(({ status }) => status)).toEqual(["firing", "resolved"]);
  });

  it("is not notified again when no operator retries the task, and expires", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a");
    await cluster.submit({ id: "t1" });
    cluster.fail("t1", "a", 1, false);
    await cluster.pass(20 * HOUR_MS);
    expect(bodies(cluster).map(({ status }) => status)).toEqual(["firing", "resolved"]);
    expect(bodies(cluster)[1]?.incident.entries).toMatchObject([{ ended_by: "expired" }]);
  });
});
