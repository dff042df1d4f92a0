/** Recorded failures, the event stream, the delivery log, and the figures of the status. */
import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/contract/failure.ts";
import { FailureAnswer } from "../../src/contract/failure.ts";
import {
  type Answer,
  apiOfThisFile,
  type CheckedCluster,
  type JsonObject,
  type TestAgent,
} from "../support/checked-cluster.ts";
import { actUntilSilentAgentFails, SILENT_AGENT } from "../support/silent-agent.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

/** An agent that fails soon unless it sends heartbeats. */
const BRIEF = { heartbeat_interval_seconds: 0.2, heartbeat_timeout_seconds: 1 };

const report = async (cluster: CheckedCluster, agentId: string, body: JsonObject = {}): Promise<Failure> =>
  (await cluster.post(`/agents/${agentId}/failures`, { failure_type: "reported", ...body })).as(
    201,
    FailureAnswer,
  ).failure;

/** The failures, newest first, once there are that many. */
const failuresOnce = (cluster: CheckedCluster, count: number) =>
  until(async () => {
    const { items } = await cluster.failures();
    return items.length >= count && items;
  }, `${count} failures`);

const agentsOf = (failures: readonly Failure[]) => failures.map(({ agent_id }) => agent_id);
const typesOf = (failures: readonly Failure[]) => failures.map(({ failure_type }) => failure_type);

describe("an agent that falls silent", () => {
  it("is recorded with everything known about it, and its tasks move to others", async () => {
    const cluster = api.cluster();
    await using events = await cluster.events();
    const agent = await cluster.register("a1", { ...BRIEF, type: "gpu", capabilities: ["work", "draw"] });
    await cluster.submit({ id: "running", priority: 9 });
    await cluster.submit({ id: "waiting" });
    await cluster.submit({ id: "special", type: "draw" });
    await agent.reported("start", "running");
    await agent.acquire("disk");
    await cluster.register("a2");
    const { last_heartbeat_at } = await agent.heartbeat().then(() => cluster.agent("a1"));

    const recorded = await events.first(({ type }) => type === "failure.recorded", "the failure");
    await events.first(({ type }) => type === "failure.failed_over", "the failover");

    const { failure } = (await cluster.get(`/failures/${recorded.subject}`)).as(200, FailureAnswer);
    expect(failure).toMatchObject({
      id: recorded.subject,
      agent_id: "a1",
      group: "default",
      failure_type: "heartbeat_timeout",
      severity: "error",
      details: { timeout_seconds: 1 },
      agent: { type: "gpu", capabilities: ["work", "draw"], task_count: 3, last_heartbeat_at },
      tasks_reassigned: 2,
      tasks_pending: 1,
      tasks_failed: 0,
      locks_released: ["disk"],
    });
    expect(failure.agent?.reliability).toBeGreaterThan(0);
    expect(failure.detection_seconds).toBeGreaterThanOrEqual(1);
    expect(failure.detection_seconds).toBe(
      (Date.parse(failure.at) - Date.parse(last_heartbeat_at ?? "")) / 1000,
    );
    expect(await cluster.agent("a1")).toMatchObject({
      status: "inactive",
      last_heartbeat_at,
      deadline_at: null,
      task_count: 0,
      failure_count: 1,
      cooldown_until: expect.any(String),
    });
    for (const id of ["running", "waiting"]) {
      expect(await cluster.task(id)).toMatchObject({
        status: "assigned",
        assigned_to: "a2",
        attempt: 2,
        reassignment_count: 1,
        previous_agents: ["a1"],
      });
    }
    expect(await cluster.task("special")).toMatchObject({ status: "pending", assigned_to: null });
    const moves = events.heard
      .filter(({ type, data }) => type === "task.assigned" && data.agent_id === "a2")
      .map(({ subject }) => subject);
    expect(moves).toEqual(["running", "waiting"]);
    (await agent.tryHeartbeat()).problem(410, "session_expired");
  });

  it("causes a second record of the tasks that no agent can take", async () => {
    const cluster = api.cluster();
    await cluster.register("a1");
    await cluster.submit({ id: "t1" });

    const failure = await report(cluster, "a1");

    const [stranded] = (await cluster.failures({ failure_type: "no_suitable_agent" })).items;
    expect(stranded).toMatchObject({
      severity: "error",
      agent_id: "a1",
      details: { task_ids: ["t1"], task_count: 1, caused_by: failure.id },
    });
  });

  it("is not declared failed while it sends heartbeats", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", BRIEF);

    const beat = () => agent.heartbeat();
    await actUntilSilentAgentFails(cluster.unchecked, BRIEF, beat, "silent-1");
    await actUntilSilentAgentFails(cluster.unchecked, BRIEF, beat, "silent-2");

    expect(agentsOf((await cluster.failures()).items)).toEqual(["silent-2", "silent-1"]);
    expect((await cluster.agent("a1")).status).toBe("active");
  });

  it("is not declared failed during a long poll, nor while it reports on tasks", async () => {
    const cluster = api.cluster();
    const timing = { heartbeat_interval_seconds: 0.9, heartbeat_timeout_seconds: 1.8 };
    const poller = await cluster.register("a1", timing);
    const worker = await cluster.register("a2", { ...timing, capabilities: ["other"] });
    await cluster.submit({ id: "t1", type: "other" });

    await actUntilSilentAgentFails(cluster.unchecked, timing, () =>
      Promise.all([poller.poll("?wait_seconds=0.9"), worker.reported("progress", "t1", { progress: 0.5 })]),
    );

    expect(agentsOf((await cluster.failures()).items)).toEqual([SILENT_AGENT]);
  });
});

describe("a sign of life", () => {
  it.each<{ what: string; call: (agent: TestAgent, token: number) => Promise<Answer> }>([
    { what: "renews its lock", call: (agent, token) => agent.proof("renew", "disk", token) },
    { what: "acquires a lock", call: (agent) => agent.tryAcquire("other") },
    { what: "looks at a task it holds", call: (agent) => agent.request("GET", "/tasks/t1") },
    { what: "looks at itself", call: (agent) => agent.request("GET", "/agents/a1") },
    {
      what: "reports results in a batch",
      call: (agent) =>
        agent.request("POST", "/results", {
          results: [{ task_id: "nowhere", agent_id: "a1", attempt: 1, result: 1 }],
        }),
    },
  ])("is any call of an agent: one that only $what is not declared failed", async ({ call }) => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", BRIEF);
    await cluster.submit({ id: "t1" });
    const { fencing_token } = await agent.acquire("disk");

    await actUntilSilentAgentFails(cluster.unchecked, BRIEF, async () => {
      const answer = await call(agent, fencing_token);
      expect(answer.status, answer.text).toBe(200);
    });

    expect(agentsOf((await cluster.failures()).items)).toEqual([SILENT_AGENT]);
  });
});

describe("a reported failure", () => {
  it("starts failover at once, and its answer has the counts", async () => {
    const cluster = api.cluster();
    await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await cluster.register("a2");

    const failure = await report(cluster, "a1", {
      failure_type: "gpu_on_fire",
      message: "smoke seen",
      details: { rack: 7, sensors: [1, null, { hot: true }] },
    });

    expect(failure).toMatchObject({
      agent_id: "a1",
      failure_type: "gpu_on_fire",
      severity: "error",
      details: { rack: 7, sensors: [1, null, { hot: true }] },
      tasks_reassigned: 1,
    });
    expect(failure.message).toContain("smoke seen");
    expect((await cluster.task("t1")).assigned_to).toBe("a2");
  });

  it("counts only for the incarnation that it names, if any", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");
    const second = await cluster.register("a1");

    const late = await cluster.post("/agents/a1/failures", {
      failure_type: "reported",
      incarnation: first.incarnation,
    });

    late.problem(410, "session_expired");
    expect((await second.heartbeat()).status).toBe("active");
    expect((await report(cluster, "a1", { incarnation: second.incarnation })).agent_id).toBe("a1");
  });

  it("is critical for a critical agent", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { critical_agents: ["a1"] } });
    await cluster.register("a1");

    expect((await report(cluster, "a1")).severity).toBe("critical");
  });

  it("starts a cool-down: the agent is chosen only when no other can", async () => {
    const cluster = api.cluster();
    await cluster.register("a1");
    await report(cluster, "a1");
    await cluster.register("a1");
    await cluster.register("a2", { max_concurrent_tasks: 1 });

    const first = await cluster.submit();
    const second = await cluster.submit();

    expect(first.decision).toMatchObject({ selected: "a2", excluded_counts: { cooling_down: 1 } });
    expect(second.decision).toMatchObject({ selected: "a1", excluded_counts: { at_capacity: 1 } });
    expect(second.decision?.explanation).toContain("cooling down");
  });
});

describe("the list of failures", () => {
  it("is filtered by agent, type, severity and time, newest first", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { critical_agents: ["a2"] } });
    const agent = await cluster.register("a1", { capabilities: ["work", "x"] });
    await cluster.submit({ id: "t1", type: "x" });
    await agent.reported("fail", "t1", { error: { message: "no", retryable: false } });
    await report(cluster, "a1", { failure_type: "one" });
    await cluster.register("a2");
    const last = await report(cluster, "a2", { failure_type: "two" });
    const [, middle, first] = (await cluster.failures()).items;

    const list = async (query: Record<string, string>) => typesOf((await cluster.failures(query)).items);
    expect(await list({})).toEqual(["two", "one", "task_failure"]);
    expect(await list({ agent_id: "a1" })).toEqual(["one", "task_failure"]);
    expect(await list({ failure_type: "one" })).toEqual(["one"]);
    expect(await list({ min_severity: "info" })).toEqual(["two", "one", "task_failure"]);
    expect(await list({ min_severity: "error" })).toEqual(["two", "one"]);
    expect(await list({ min_severity: "critical" })).toEqual(["two"]);
    expect(await list({ since: middle?.at ?? "", until: middle?.at ?? "" })).toContain("one");
    expect(await list({ since: "2001-01-01T00:00:00Z", until: "2001-01-02T00:00:00+01:00" })).toEqual([]);
    expect(await list({ since: last.at })).toContain("two");
    expect(await list({ until: first?.at ?? "" })).toContain("task_failure");
  });

  it("is read page by page, each failure once", async () => {
    const cluster = api.cluster();
    for (let n = 0; n < 5; n++) {
      await cluster.register(`a${n}`);
      await report(cluster, `a${n}`, { failure_type: `type-${n}` });
    }

    const pages: string[][] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await cluster.failures({ limit: 2, ...(cursor === "" ? {} : { cursor }) });
      pages.push(typesOf(page.items));
      cursor = page.next_cursor;
    }

    expect(pages).toEqual([["type-4", "type-3"], ["type-2", "type-1"], ["type-0"]]);
  });
});

/** Notifies at once, without grouping or repeats. */
const AT_ONCE = { notification_types: ["log"], group_wait_seconds: 0 };

describe("the log of notifications", () => {
  it("has an entry for every failure of at least the configured severity", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failure_notification: { ...AT_ONCE, min_severity: "error" } });
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await agent.reported("fail", "t1", { error: { message: "no", retryable: false } });

    const failure = await report(cluster, "a1");

    const told = await cluster.toldOf(failure.id, 1);
    expect(told).toMatchObject([
      {
        channel: "log",
        kind: "incident",
        status: "firing",
        severity: "error",
        state: "delivered",
        try_count: 1,
        tries: [{ outcome: "delivered", error: null, next_try_at: null }],
        last_error: null,
      },
    ]);
    expect((await cluster.notifications()).items).toEqual(told);
  });

  it("stays empty when notification is off", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failure_notification: { ...AT_ONCE, enabled: false } });
    await cluster.register("a1");
    const first = await report(cluster, "a1");
    // The notifier receives in order: once it has this failure, it has received the first.
    await cluster.configure({ failure_notification: { enabled: true } });
    await cluster.register("a2");
    const second = await report(cluster, "a2");

    const told = await cluster.toldOf(second.id, 1);
    expect((await cluster.notifications()).items).toEqual(told);
    expect((await cluster.notifications({ failure_id: first.id })).items).toEqual([]);
  });
});

describe("the stream of events", () => {
  it("has every change as it happens, in order", async () => {
    const cluster = api.cluster();
    await using events = await cluster.events(null);

    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await agent.reported("start", "t1");
    await agent.reported("complete", "t1");
    await cluster.submit({ id: "t2", type: "nobody" });
    await cluster.post("/tasks/t2/cancel");
    await agent.unregister();
    await cluster.configure({ lock_config: { lock_delay_seconds: 1 } });
    await events.first(({ type }) => type === "config.changed", "the last change");

    expect(events.heard.map(({ type, subject }) => `${type} ${subject}`)).toEqual([
      "agent.registered a1",
      "task.submitted t1",
      "task.assigned t1",
      "task.started t1",
      "task.completed t1",
      "task.submitted t2",
      "task.pending t2",
      "task.cancelled t2",
      "agent.unregistered a1",
      "config.changed config",
    ]);
    const heardIds = events.heard.map(({ id }) => id);
    expect(heardIds).toEqual([...new Set(heardIds)].toSorted((a, b) => a - b));
  });

  it("is resumed after the last event, each event once and in order", async () => {
    const cluster = api.cluster();
    const submitted: string[] = [];
    const submit = async () => {
      const { task } = await cluster.submit();
      submitted.push(task.id);
    };
    for (let n = 0; n < 10; n++) await submit();

    const heard: { id: number; type: string; subject: string }[] = [];
    for (let round = 0; round < 5; round++) {
      const stream = await cluster.events(heard.at(-1)?.id ?? 0);
      // Some arrive while it is read, some while it is not.
      await submit();
      await stream.first(({ subject }) => subject === submitted.at(-1), "the newest task");
      await stream.close();
      heard.push(...stream.heard);
      await submit();
    }
    await using rest = await cluster.events(heard.at(-1)?.id ?? 0);
    await rest.first(
      ({ type, subject }) => type === "task.pending" && subject === submitted.at(-1),
      "the last task",
    );
    heard.push(...rest.heard);

    const expected = submitted.flatMap((id) => [`task.submitted ${id}`, `task.pending ${id}`]);
    expect(heard.map(({ type, subject }) => `${type} ${subject}`)).toEqual(expected);
    expect(heard.map(({ id }) => id)).toEqual(heard.map((_, index) => index + 1));
  });

  it("brings more events than one page holds", async () => {
    const cluster = api.cluster();
    await cluster.post("/tasks/batch", { tasks: Array.from({ length: 450 }, () => ({ type: "work" })) });

    await using events = await cluster.events();
    await events.first(({ id }) => id === 900, "the last event");

    expect(events.heard.map(({ id }) => id)).toEqual(Array.from({ length: 900 }, (_, n) => n + 1));
  });

  it("reaches every reader, and starts with new events unless older ones are requested", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "before" });
    await using one = await cluster.events(null);
    await using two = await cluster.events(null);
    await using all = await cluster.events(0);

    await cluster.submit({ id: "after" });
    for (const stream of [one, two, all]) {
      await stream.first(({ type, subject }) => type === "task.pending" && subject === "after", "the task");
    }

    const subjects = (stream: typeof one) => stream.heard.map(({ subject }) => subject);
    expect(subjects(one)).toEqual(["after", "after"]);
    expect(subjects(two)).toEqual(["after", "after"]);
    expect(subjects(all)).toEqual(["before", "before", "after", "after"]);
  });
});

describe("the status", () => {
  it("counts agents, tasks, locks and failures", async () => {
    const cluster = api.cluster();
    const one = await cluster.register("a1", { group: "north" });
    await cluster.register("a2", { group: "south", capabilities: ["y"] });
    await cluster.register("a3", { group: "south", capabilities: [] });
    for (const id of ["t1", "t2", "t3", "t4"]) await cluster.submit({ id });
    await cluster.submit({ id: "t5", type: "nobody" });
    await one.reported("start", "t1");
    await one.reported("complete", "t2");
    await one.reported("fail", "t3", { error: { message: "no", retryable: false } });
    await cluster.post("/tasks/t5/cancel");
    await cluster.submit({ id: "t6", type: "nobody" });
    await one.acquire("disk");
    const failure = await report(cluster, "a3");

    expect(await cluster.status()).toMatchObject({
      total_agents: 3,
      active_agents: 2,
      inactive_agents: 1,
      agents_by_status: { active: 2, suspect: 0, draining: 0, inactive: 1 },
      tasks: { pending: 1, assigned: 1, running: 1, completed: 1, failed: 1, cancelled: 1 },
      locked_resources: 1,
      failure_count: 2,
      groups: ["north", "south"],
      safe_mode: { active: false, since: null, until: null, reason: null },
    });
    const { recent_failures } = await cluster.status();
    expect(typesOf(recent_failures)).toEqual(["reported", "task_failure"]);
    expect(recent_failures[0]).toEqual(failure);
  });

  it("lists the newest ten failures at most", async () => {
    const cluster = api.cluster();
    for (let n = 0; n < 12; n++) {
      await cluster.register("a1");
      await report(cluster, "a1", { failure_type: `type-${n}` });
    }
    await failuresOnce(cluster, 12);

    const { recent_failures, failure_count } = await cluster.status();

    expect(failure_count).toBe(12);
    expect(recent_failures).toHaveLength(10);
    expect(recent_failures[0]?.failure_type).toBe("type-11");
  });
});
