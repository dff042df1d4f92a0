/** Agents: registration and incarnations, heartbeats, their tasks, unregistration, and lists of them. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { RegistrationAnswer } from "../../src/contract/agent.ts";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

const ids = (items: readonly { id: string }[]) => items.map(({ id }) => id);

const lastDecision = async (cluster: CheckedCluster, taskId: string) =>
  (await cluster.decisions(taskId)).items.at(-1);

describe("registration", () => {
  it("answers 201 to a new agent and 200 to a known one, with all submitted fields", async () => {
    const cluster = api.cluster();
    const said = {
      type: "gpu-worker",
      capabilities: ["render", "train"],
      endpoint: "https://agent.example.org/hook",
      max_concurrent_tasks: 3,
      heartbeat_interval_seconds: 0.5,
      heartbeat_timeout_seconds: 20,
      labels: { zone: "eu-1", tier: "fast" },
    };

    const first = (await cluster.tryRegister("a1", said)).as(201, RegistrationAnswer);
    const second = (await cluster.tryRegister("a1", said)).as(200, RegistrationAnswer);

    expect(first.agent).toMatchObject({
      ...said,
      id: "a1",
      group: "default",
      status: "active",
      task_count: 0,
      load: null,
      cooldown_until: null,
      failure_count: 0,
      tasks_completed: 0,
      tasks_failed: 0,
      mean_task_seconds: null,
    });
    expect(first.heartbeat_timeout_seconds).toBe(20);
    expect(first.token).toMatch(/^[A-Za-z0-9._-]+$/);
    expect(first.websocket_url).toBe(
      `ws://127.0.0.1:${api.server.port}${cluster.path}/groups/default/agents/a1/connect`,
    );
    expect(second.incarnation).toBeGreaterThan(first.incarnation);
    expect(second.token).not.toBe(first.token);
    const { deadline_at, last_heartbeat_at } = first.agent;
    expect(Date.parse(deadline_at ?? "") - Date.parse(last_heartbeat_at ?? "")).toBe(20_000);
  });

  it("is answered with a TLS socket URL behind a proxy with TLS", async () => {
    const response = await fetch(`${api.server.url}/v1/clusters/behind-a-proxy/groups/default/agents/a1`, {
      method: "PUT",
      headers: {
        Authorization: `Bearer ${api.server.adminToken}`,
        "Content-Type": "application/json",
        "X-Forwarded-Proto": "https",
      },
      body: JSON.stringify({ type: "worker", capabilities: [] }),
    });
    expect(RegistrationAnswer.parse(await response.json()).websocket_url).toMatch(
      /^wss:\/\/127\.0\.0\.1:\d+\/v1\//,
    );
  });

  it("takes omitted fields from the configuration and the contract", async () => {
    const cluster = api.cluster();

    const { registered } = await cluster.register("a1");

    expect(registered).toMatchObject({
      endpoint: null,
      labels: {},
      max_concurrent_tasks: 10,
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 30,
    });
  });

  it("returns durations as they were sent", async () => {
    const { registered } = await api.cluster().register("a1", {
      heartbeat_interval_seconds: 1.001,
      heartbeat_timeout_seconds: 4.111,
    });

    expect(registered.heartbeat_interval_seconds).toBe(1.001);
    expect(registered.heartbeat_timeout_seconds).toBe(4.111);
  });

  it("lists a capability once that was sent twice", async () => {
    const { registered } = await api.cluster().register("a1", { capabilities: ["b", "a", "b"] });

    expect(registered.capabilities).toEqual(["b", "a"]);
  });

  it("takes the name of the agent's process, one line of up to 256 characters", async () => {
    const cluster = api.cluster();

    await cluster.register("a1", { instance: "host/1/0123456789abcdef" });
    for (const instance of ["", "two\nlines", "x".repeat(257)]) {
      const { errors } = (await cluster.tryRegister("a2", { instance })).problem(400, "invalid_request");
      expect(new Set(errors?.map(({ path }) => path))).toEqual(new Set(["instance"]));
    }
    expect((await cluster.agents()).items.map(({ id }) => id)).toEqual(["a1"]);
  });

  it.each([
    { what: "equals the interval", interval: 5, timeout: 5 },
    { what: "is shorter than the interval", interval: 5, timeout: 1 },
    { what: "is shorter than the default interval", interval: undefined, timeout: 9 },
  ])("refuses a timeout that $what", async ({ interval, timeout }) => {
    const cluster = api.cluster();

    const answer = await cluster.tryRegister("a1", {
      ...(interval === undefined ? {} : { heartbeat_interval_seconds: interval }),
      heartbeat_timeout_seconds: timeout,
    });

    const { errors } = answer.problem(400, "invalid_request");
    expect(errors?.map(({ path }) => path)).toEqual(["heartbeat_timeout_seconds"]);
    expect((await cluster.status()).total_agents).toBe(0);
  });

  it("starts a new incarnation each time, and ends the one before", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");
    await first.acquire("disk");
    await cluster.submit({ id: "kept" });
    await cluster.submit({ id: "given-anew" });

    const second = await cluster.register("a1", { running_tasks: [{ task_id: "kept", attempt: 1 }] });

    (await first.tryHeartbeat()).problem(410, "session_expired");
    (await first.tryPoll()).problem(410, "session_expired");
    (await first.tryAcquire("other")).problem(410, "session_expired");
    (await first.unregister()).problem(410, "session_expired");
    (await first.report("start", "kept")).problem(410, "session_expired");
    (await first.report("progress", "kept", { progress: 1 })).problem(410, "session_expired");
    (await first.report("start", "given-anew", { attempt: 2 })).problem(409, "stale_attempt");
    expect((await second.heartbeat()).status).toBe("active");
    expect((await cluster.locks()).items).toEqual([]);
  });

  it("is refused to a token whose incarnation was replaced by a live one", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");
    const second = await cluster.register("a1");

    (await cluster.tryRegister("a1", { token: first.token })).problem(410, "session_expired");

    expect((await second.heartbeat()).status).toBe("active");
  });

  it("can be renewed by the agent's own token", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");

    const second = await cluster.register("a1", { token: first.token, capabilities: ["else"] });

    expect(second.incarnation).toBeGreaterThan(first.incarnation);
    expect((await cluster.agent("a1")).capabilities).toEqual(["else"]);
  });

  it("has incarnations that grow across unregistrations and groups", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1", { group: "north" });
    await first.unregister();
    const second = (await cluster.tryRegister("a1", { group: "south" })).as(201, RegistrationAnswer);
    const other = await cluster.register("a2", { group: "north" });

    expect(second.incarnation).toBeGreaterThan(first.incarnation);
    expect(other.incarnation).toBeGreaterThan(second.incarnation);
    (await first.tryHeartbeat()).problem(410, "session_expired");
    expect((await cluster.status()).groups).toEqual(["north", "south"]);
  });

  it("refuses an id that is live in another group, and lets a failed one move", async () => {
    const cluster = api.cluster();
    await cluster.register("a1", { group: "north" });

    (await cluster.tryRegister("a1", { group: "south" })).problem(409, "agent_in_other_group");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    const moved = await cluster.register("a1", { group: "south" });

    expect(moved.registered.group).toBe("south");
    expect((await cluster.agent("a1")).group).toBe("south");
  });

  it("refuses another agent's token while the agent is live, and says for how long it certainly is", async () => {
    const cluster = api.cluster();
    const victim = await cluster.register("a1");
    const other = await cluster.register("a2");

    const problem = (await cluster.tryRegister("a1", { token: other.token })).problem(409, "agent_live");

    expect(problem.deadline_at).toBe((await cluster.agent("a1")).deadline_at);
    expect((await victim.heartbeat()).status).toBe("active");
  });

  it("refuses another agent's token for an id that is unknown or failed", async () => {
    const cluster = api.cluster();
    const other = await cluster.register("a2");
    await cluster.register("a1");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    (await cluster.tryRegister("a1", { token: other.token })).problem(403, "forbidden");
    (await cluster.tryRegister("a3", { token: other.token })).problem(403, "forbidden");

    expect((await cluster.status()).total_agents).toBe(2);
  });

  it("leaves the tasks that the agent claims as running alone, and gives it the others anew", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");
    await cluster.submit({ id: "kept" });
    await cluster.submit({ id: "lost" });
    await cluster.submit({ id: "misremembered" });
    await first.reported("start", "kept");
    await first.reported("start", "lost");

    const second = await cluster.register("a1", {
      running_tasks: [
        { task_id: "kept", attempt: 1 },
        { task_id: "misremembered", attempt: 7 },
        { task_id: "unknown", attempt: 1 },
      ],
    });

    expect(await cluster.task("kept")).toMatchObject({ status: "running", attempt: 1 });
    for (const id of ["lost", "misremembered"]) {
      expect(await cluster.task(id)).toMatchObject({
        status: "assigned",
        assigned_to: "a1",
        attempt: 2,
        reassignment_count: 0,
        previous_agents: [],
      });
      expect(await lastDecision(cluster, id)).toMatchObject({
        reason: "agent_reregistered",
        from_agent: "a1",
        selected: "a1",
        attempt: 2,
      });
    }
    expect((await cluster.failures()).items).toEqual([]);
    expect(second.registered.task_count).toBe(3);
    (await second.report("complete", "lost", { attempt: 1 })).problem(409, "stale_attempt");
    expect((await second.reported("complete", "kept")).status).toBe("completed");
  });

  it("gives back the tasks of a failed agent that could not move", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { enabled: false } });
    await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    await cluster.register("a1", { running_tasks: [{ task_id: "t1", attempt: 1 }] });

    expect(await cluster.task("t1")).toMatchObject({ status: "assigned", assigned_to: "a1", attempt: 1 });
  });

  it("gives back the tasks that the agent still runs and no other agent has got since the failure", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await first.reported("start", "t1");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    expect(await cluster.task("t1")).toMatchObject({ status: "pending", attempt: 1 });

    const second = await cluster.register("a1", { running_tasks: [{ task_id: "t1", attempt: 1 }] });

    expect(await cluster.task("t1")).toMatchObject({ status: "running", assigned_to: "a1", attempt: 1 });
    expect(await lastDecision(cluster, "t1")).toMatchObject({
      reason: "agent_reregistered",
      selected: "a1",
      attempt: 1,
    });
    expect((await second.reported("complete", "t1")).status).toBe("completed");
  });

  it("allows the assignment of a task that is submitted right after its answer", async () => {
    const cluster = api.cluster();
    for (let n = 0; n < 5; n++) {
      await cluster.register(`a${n}`, { capabilities: [`job-${n}`] });
      const { task } = await cluster.submit({ type: `job-${n}` });
      expect(task).toMatchObject({ status: "assigned", assigned_to: `a${n}` });
    }
  });
});

describe("a heartbeat", () => {
  it("moves the deadline, and its answer says whether there are tasks and messages", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    const before = await cluster.agent("a1");

    const beat = await agent.heartbeat({ load: { cpu: 0.25, memory: 0.5 } });

    expect(beat).toEqual({
      status: "active",
      deadline_at: expect.any(String),
      assigned_tasks: 0,
      unread_messages: 0,
      tasks_changed: false,
    });
    const after = await cluster.agent("a1");
    expect(after).toMatchObject({ deadline_at: beat.deadline_at, load: { cpu: 0.25, memory: 0.5 } });
    expect(Date.parse(beat.deadline_at)).toBeGreaterThanOrEqual(Date.parse(before.deadline_at ?? ""));
    expect(Date.parse(beat.deadline_at) - Date.parse(after.last_heartbeat_at ?? "")).toBe(30_000);
  });

  it("reports new tasks until the list is read", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.submit();

    const hintOnce = (hint: boolean) =>
      until(async () => {
        const { assigned_tasks, tasks_changed } = await agent.heartbeat();
        return assigned_tasks === 1 && tasks_changed === hint;
      }, `a hint that tasks_changed is ${hint}`);
    await hintOnce(true);
    await agent.poll();
    await hintOnce(false);
  });

  it("can be sent by an operator for the live incarnation", async () => {
    const cluster = api.cluster();
    const { path } = await cluster.register("a1");

    expect((await cluster.post(`${path}/heartbeat`)).status).toBe(200);
  });

  it("is refused to an agent that was reported as failed or has unregistered", async () => {
    const cluster = api.cluster();
    const failed = await cluster.register("a1");
    const gone = await cluster.register("a2");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    await gone.unregister();

    (await failed.tryHeartbeat()).problem(410, "session_expired");
    (await gone.tryHeartbeat()).problem(410, "session_expired");
  });
});

describe("the tasks of an agent", () => {
  it("are the unstarted ones, most urgent first, unless other statuses are requested", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "low", priority: 1 });
    await cluster.submit({ id: "high", priority: 9 });
    await cluster.submit({ id: "started" });
    await agent.reported("start", "started");

    expect(ids(await agent.poll())).toEqual(["high", "low"]);
    expect(ids(await agent.poll("?status=running"))).toEqual(["started"]);
    expect(ids(await agent.poll("?status=assigned,running"))).toEqual(["high", "started", "low"]);
    (await agent.tryPoll("?status=assigned,lost")).problem(400, "invalid_request");
  });

  it("reach a long poll as soon as there is one", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", {
      heartbeat_interval_seconds: 20,
      heartbeat_timeout_seconds: 60,
    });

    const startedMs = performance.now();
    const waiting = agent.poll("?wait_seconds=20");
    await cluster.submit({ id: "t1" });

    expect(ids(await waiting)).toEqual(["t1"]);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("are an empty list when a long poll ends, at the latest after the heartbeat interval", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 0.3 });

    const startedMs = performance.now();
    expect(await agent.poll("?wait_seconds=20")).toEqual([]);

    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(290);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("end a long poll with 410 when the agent is replaced meanwhile", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 15 });

    const waiting = agent.tryPoll("?wait_seconds=15");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    (await waiting).problem(410, "session_expired");
  });

  it("can be polled by several callers at once, each of whom is woken", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 15 });

    const waiting = [1, 2, 3].map(() => agent.poll("?wait_seconds=15"));
    await cluster.submit({ id: "t1" });

    expect((await Promise.all(waiting)).map(ids)).toEqual([["t1"], ["t1"], ["t1"]]);
  });
});

describe("unregistering", () => {
  it("moves the tasks, releases the locks and records no failure", async () => {
    const cluster = api.cluster();
    const leaving = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await leaving.reported("start", "t1");
    await leaving.acquire("disk");
    await cluster.register("a2");

    const answer = await leaving.unregister();

    expect(answer.status).toBe(204);
    expect(answer.text).toBe("");
    expect(await cluster.task("t1")).toMatchObject({
      status: "assigned",
      assigned_to: "a2",
      attempt: 2,
      reassignment_count: 0,
      previous_agents: ["a1"],
    });
    expect(await lastDecision(cluster, "t1")).toMatchObject({
      reason: "agent_unregistered",
      from_agent: "a1",
    });
    expect((await cluster.locks()).items).toEqual([]);
    expect((await cluster.failures()).items).toEqual([]);
    (await cluster.get("/agents/a1")).problem(404, "not_found");
    expect(ids((await cluster.agents()).items)).toEqual(["a2"]);
  });

  it("can be done by an operator, also for a failed agent", async () => {
    const cluster = api.cluster();
    const live = await cluster.register("a1");
    const failed = await cluster.register("a2");
    await cluster.post("/agents/a2/failures", { failure_type: "reported" });

    expect((await cluster.request("DELETE", live.path)).status).toBe(204);
    expect((await cluster.request("DELETE", failed.path)).status).toBe(204);

    expect((await cluster.status()).total_agents).toBe(0);
  });
});

describe("the list of agents", () => {
  it("is filtered by status, group, capability and type", async () => {
    const cluster = api.cluster();
    await cluster.register("a1", { group: "north", capabilities: ["x", "y"], type: "t1" });
    await cluster.register("a2", { group: "south", capabilities: ["y"], type: "t1" });
    await cluster.register("a3", { group: "south", capabilities: ["x"], type: "t2" });
    await cluster.post("/agents/a3/failures", { failure_type: "reported" });

    const list = async (query: Record<string, string>) => ids((await cluster.agents(query)).items);
    expect(await list({})).toEqual(["a1", "a2", "a3"]);
    expect(await list({ status: "active" })).toEqual(["a1", "a2"]);
    expect(await list({ status: "inactive" })).toEqual(["a3"]);
    expect(await list({ group: "south" })).toEqual(["a2", "a3"]);
    expect(await list({ capability: "x" })).toEqual(["a1", "a3"]);
    expect(await list({ type: "t1", capability: "x" })).toEqual(["a1"]);
    expect(await list({ type: "none" })).toEqual([]);
  });

  it("is read page by page, each agent once", async () => {
    const cluster = api.cluster();
    for (const id of ["a3", "a1", "a5", "a2", "a4"]) await cluster.register(id);

    const first = await cluster.agents({ limit: 2 });
    const second = await cluster.agents({ limit: 2, cursor: first.next_cursor ?? "" });
    const third = await cluster.agents({ limit: 2, cursor: second.next_cursor ?? "" });

    expect([first, second, third].map(({ items }) => ids(items))).toEqual([
      ["a1", "a2"],
      ["a3", "a4"],
      ["a5"],
    ]);
    expect(third.next_cursor).toBeNull();
  });

  it("can be read by an agent for itself, and for no other", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.register("a2");

    expect((await agent.request("GET", "/agents/a1")).as(200, z.looseObject({})).agent).toMatchObject({
      id: "a1",
    });
    (await agent.request("GET", "/agents/a2")).problem(403, "forbidden");
  });
});
