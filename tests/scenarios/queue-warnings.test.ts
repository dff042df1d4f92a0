/** Tasks that wait: which are a failure, and how many records and messages they cause. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

/** The timeout of the scripted agents, and the second check of the alarm. */
const NOTICED_MS = 3200;

const WEBHOOK: ConfigInput = {
  failure_notification: { notification_types: ["webhook"] },
  webhook_notification: { url: "http://127.0.0.1:9/" },
};

const failureTypes = (cluster: ScriptedCluster) => cluster.failures().map(({ failure_type }) => failure_type);

const queueWarnings = (cluster: ScriptedCluster) =>
  cluster.failures().filter(({ failure_type }) => failure_type === "no_suitable_agent");

/** Two agents whose slots are all taken. */
async function busyFleet(config: ConfigInput = WEBHOOK): Promise<ScriptedCluster> {
  const cluster = new ScriptedCluster(config);
  await cluster.register("a", { max_concurrent_tasks: 2 });
  await cluster.register("b", { max_concurrent_tasks: 2 });
  for (let index = 0; index < 4; index++) await cluster.submit({ id: `t${index}` });
  return cluster;
}

const messagesOf = (cluster: ScriptedCluster) =>
  cluster.cluster.received.map(({ body }) => (body as { data: { status: string } }).data.status);

describe("the failover of a busy fleet", () => {
  it("is one failure and one message: tasks that queue behind full slots are no failure", async () => {
    const cluster = await busyFleet();
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "heartbeat_timeout", tasks_pending: 2 }]);
    await cluster.pass(4 * MINUTE_MS);
    expect(failureTypes(cluster)).toEqual(["heartbeat_timeout"]);
    expect(messagesOf(cluster)).toEqual(["firing"]);
  });

  it("records the tasks that no registered agent could take, and those alone", async () => {
    const cluster = new ScriptedCluster(WEBHOOK);
    await cluster.register("a", { capabilities: ["resize", "engrave"], max_concurrent_tasks: 4 });
    for (let index = 0; index < 2; index++) await cluster.submit({ id: `t${index}` });
    await cluster.submit({ id: "special", type: "engrave" });
    await cluster.register("b", { max_concurrent_tasks: 1 });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.failures()).toMatchObject([
      {
        failure_type: "no_suitable_agent",
        message: "no registered agent can take 1 task of a; it is pending",
        details: { task_ids: ["special"], task_count: 1 },
      },
      { failure_type: "heartbeat_timeout", tasks_reassigned: 1, tasks_pending: 2 },
    ]);
  });
});

describe("a task that has queued for queue_warning_seconds", () => {
  it("is recorded as a warning, with the others of its type as one record", async () => {
    const cluster = await busyFleet();
    for (let index = 0; index < 150; index++) await cluster.submit({ id: `waiting-${index}` });
    await cluster.pass(5 * MINUTE_MS - SECOND_MS);
    expect(cluster.failures()).toEqual([]);
    await cluster.pass(2 * SECOND_MS);
    expect(cluster.failures()).toMatchObject([
      {
        failure_type: "no_suitable_agent",
        severity: "warning",
        agent_id: null,
        message: "150 tasks of type resize are pending, and some have waited for an agent for 300 s",
        details: { task_type: "resize", task_count: 150, queue_warning_seconds: 300 },
      },
    ]);
    await cluster.pass(60 * MINUTE_MS);
    expect(queueWarnings(cluster)).toHaveLength(1);
    expect(messagesOf(cluster)).toEqual(["firing"]);
  });

  it("causes another record once the queue was served in between, and its incident is resolved then", async () => {
    const cluster = await busyFleet();
    await cluster.submit({ id: "waiting" });
    await cluster.pass(6 * MINUTE_MS);
    expect(queueWarnings(cluster)).toHaveLength(1);
    good(cluster.complete("t0", "a", 1, "done"));
    await cluster.pass(11 * MINUTE_MS);
    expect(cluster.task("waiting").status).toBe("assigned");
    expect(messagesOf(cluster)).toEqual(["firing", "resolved"]);

    await cluster.submit({ id: "later" });
    await cluster.pass(6 * MINUTE_MS);
    expect(queueWarnings(cluster)).toHaveLength(2);
  });

  it("is recorded once, also after a crash, while no agent comes that could take it", async () => {
    const cluster = new ScriptedCluster({ task_config: { queue_warning_seconds: 10 } });
    await cluster.submit({ id: "lonely" });
    await cluster.pass(11 * SECOND_MS);
    expect(queueWarnings(cluster)).toHaveLength(1);
    cluster.cluster.kill();
    cluster.cluster.start();
    await cluster.pass(MINUTE_MS);
    expect(queueWarnings(cluster)).toHaveLength(1);
  });

  it("is not recorded for a wait in which the server was down: the time counts from its start", async () => {
    const cluster = await busyFleet({});
    await cluster.submit({ id: "waiting" });
    await cluster.pass(4 * MINUTE_MS);
    cluster.cluster.kill();
    await cluster.pass(10 * MINUTE_MS);
    cluster.cluster.start();
    await cluster.pass(5 * MINUTE_MS - SECOND_MS);
    expect(queueWarnings(cluster)).toEqual([]);
    await cluster.pass(2 * SECOND_MS);
    expect(queueWarnings(cluster)).toHaveLength(1);
  });

  it("is not recorded while it waits for its next try after a failure", async () => {
    const cluster = new ScriptedCluster({ task_config: { queue_warning_seconds: 0.5 } });
    await cluster.register("a", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "t" });
    good(cluster.fail("t", "a", 1));
    await cluster.pass(900);
    expect(cluster.task("t").status).toBe("pending");
    expect(queueWarnings(cluster)).toEqual([]);
  });

  it("is recorded for each type of task", async () => {
    const cluster = new ScriptedCluster({ task_config: { queue_warning_seconds: 10 } });
    await cluster.submit({ id: "one", type: "engrave" });
    await cluster.submit({ id: "other", type: "print" });
    await cluster.pass(11 * SECOND_MS);
    expect(queueWarnings(cluster).map(({ details }) => details.task_type)).toEqual(["print", "engrave"]);
  });
});
