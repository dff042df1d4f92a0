/** Draining agents: their tasks move to others without a failure, step by step on simulated time. */
import { describe, expect, it } from "vitest";
import { clusterAtWork, good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const eventsOf = (cluster: ScriptedCluster, subject: string) =>
  cluster.cluster.coordinator
    .serve((service) => service.queries.events(0, 1000))
    .filter((event) => event.subject === subject);

const deadlineIn = (cluster: ScriptedCluster, ms: number) =>
  new Date(Math.floor(cluster.world.nowMs) + ms).toISOString();

describe("an agent that drains", () => {
  it("gets no new tasks, loses those that it has not started, and may finish those that it runs", async () => {
    const cluster = await clusterAtWork();

    const agent = good(cluster.drain("a"));

    expect(agent).toMatchObject({
      status: "draining",
      drain: { mode: "finish", by: "operator", deadline_at: null },
      task_count: 1,
    });
    expect(cluster.task("waiting")).toMatchObject({
      status: "assigned",
      assigned_to: "b",
      attempt: 2,
      reassignment_count: 0,
      previous_agents: ["a"],
    });
    expect(cluster.decisions("waiting").at(-1)).toMatchObject({ reason: "agent_drained", from_agent: "a" });
    expect(cluster.cluster.revoked).toEqual([
      { agentId: "a", taskId: "waiting", attempt: 1, reason: "agent_drained" },
    ]);
    for (let index = 0; index < 5; index++) await cluster.submit({ id: `new-${index}` });
    for (let index = 0; index < 5; index++) expect(cluster.task(`new-${index}`).assigned_to).toBe("b");
    expect(cluster.decisions("new-0").at(-1)?.excluded_counts).toEqual({ draining: 1 });
    await cluster.pass(3_600_000);
    expect(good(cluster.complete("running", "a", 1, "done"))).toMatchObject({ status: "completed" });
    expect(cluster.failures()).toEqual([]);
    expect(cluster.cluster.coordinator.serve((service) => service.queries.status())).toMatchObject({
      active_agents: 1,
      inactive_agents: 0,
      agents_by_status: { active: 1, draining: 1 },
    });
  });

  it("leaves tasks that no other agent can run pending, and gets them back when it resumes", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });

    good(cluster.drain("a"));
    expect(cluster.task("t")).toMatchObject({ status: "pending", pending_code: "excluded" });

    expect(good(cluster.resume("a"))).toMatchObject({ status: "active", drain: null, task_count: 1 });
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a", attempt: 2 });
    expect(eventsOf(cluster, "a").map(({ type }) => type)).toEqual([
      "agent.registered",
      "agent.draining",
      "agent.active",
    ]);
  });

  it("loses its running tasks at once in mode `move`", async () => {
    const cluster = await clusterAtWork();

    good(cluster.drain("a", { mode: "move" }));

    expect(cluster.agent("a")).toMatchObject({ status: "draining", task_count: 0 });
    for (const id of ["running", "waiting"]) {
      expect(cluster.task(id)).toMatchObject({ assigned_to: "b", attempt: 2, reassignment_count: 0 });
      expect(cluster.decisions(id).at(-1)?.reason).toBe("agent_drained");
    }
    expect(cluster.cluster.revoked.map(({ taskId }) => taskId)).toEqual(["running", "waiting"]);
    expect(cluster.failures()).toEqual([]);
  });

  it.each(["move", "finish"] as const)(
    "keeps its running tasks until exactly the deadline (mode %s)",
    async (mode) => {
      const cluster = await clusterAtWork();
      const deadline_at = deadlineIn(cluster, 20_000);

      expect(good(cluster.drain("a", { mode, deadline_seconds: 20 })).drain).toEqual({
        mode,
        by: "operator",
        deadline_at,
      });

      await cluster.pass(19_990);
      expect(cluster.task("running")).toMatchObject({ status: "running", assigned_to: "a" });
      await cluster.pass(20);
      expect(cluster.task("running")).toMatchObject({
        status: "assigned",
        assigned_to: "b",
        attempt: 2,
        reassignment_count: 0,
      });
      expect(cluster.cluster.revoked.at(-1)).toEqual({
        agentId: "a",
        taskId: "running",
        attempt: 1,
        reason: "agent_drained",
      });
      expect(cluster.start("running", "a", 1)).toMatchObject({ problem: { code: "stale_attempt" } });
      await cluster.pass(60_000);
      expect(cluster.agent("a")).toMatchObject({ status: "draining", drain: { mode } });
      expect(cluster.failures()).toEqual([]);
    },
  );

  it("takes over the mode and deadline of a second drain request", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 5 }));
    good(cluster.drain("a"));
    await cluster.pass(10_000);
    expect(cluster.task("running").assigned_to).toBe("a");
    good(cluster.drain("a", { mode: "move" }));
    expect(cluster.task("running").assigned_to).toBe("b");
  });

  it("is failed over like any other agent", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 60 }, true));
    cluster.silence("a");
    await cluster.pass(3250);
    expect(cluster.agent("a").status).toBe("inactive");
    expect(cluster.failures()).toMatchObject([{ agent_id: "a", tasks_reassigned: 1 }]);
    expect(cluster.task("running")).toMatchObject({ assigned_to: "b", attempt: 2, reassignment_count: 1 });
    expect(cluster.drain("a")).toMatchObject({ problem: { code: "invalid_transition" } });
    expect(cluster.drain("a", {}, true)).toMatchObject({ problem: { code: "session_expired" } });
    expect(cluster.drain("nobody")).toMatchObject({ problem: { code: "not_found" } });
  });

  it("gets no task for a slot that it frees", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "held" });
    good(cluster.start("held", "a", 1));
    await cluster.submit({ id: "next" });
    good(cluster.drain("a"));
    good(cluster.complete("held", "a", 1, "done"));
    expect(cluster.task("next").status).toBe("pending");
  });
});

describe("the owner of a drain", () => {
  it("is the operator: the drain outlives a registration of the agent", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 30 }));
    const before = cluster.agent("a").drain;

    await cluster.register("a", { running_tasks: [{ task_id: "running", attempt: 1 }] });

    expect(cluster.agent("a")).toMatchObject({ status: "draining", drain: before });
    expect(cluster.task("running")).toMatchObject({ status: "running", assigned_to: "a", attempt: 1 });
    await cluster.pass(30_000);
    expect(cluster.task("running")).toMatchObject({ assigned_to: "b", attempt: 2 });
  });

  it("is the operator: a task that the agent does not claim when it re-registers moves to another agent", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a"));
    await cluster.register("a");
    expect(cluster.task("running")).toMatchObject({ assigned_to: "b", attempt: 3, reassignment_count: 0 });
  });

  it("is the agent: the drain ends when the agent re-registers", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", {}, true));
    expect(cluster.agent("a").drain?.by).toBe("agent");
    await cluster.register("a", { running_tasks: [{ task_id: "running", attempt: 1 }] });
    expect(cluster.agent("a")).toMatchObject({ status: "active", drain: null });
  });

  it("is the operator: the agent may shorten the drain, but neither postpone nor end it", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 30 }));
    const deadline_at = deadlineIn(cluster, 30_000);
    expect(good(cluster.drain("a", { deadline_seconds: 60 }, true)).drain).toEqual({
      mode: "finish",
      by: "operator",
      deadline_at,
    });
    expect(cluster.resume("a", true)).toMatchObject({ problem: { code: "forbidden" } });
    good(cluster.drain("a", { mode: "move" }, true));
    expect(cluster.task("running").assigned_to).toBe("b");
    expect(good(cluster.resume("a")).status).toBe("active");
  });

  it("does not matter to an agent that is not draining: resuming it records no event", async () => {
    const cluster = await clusterAtWork();
    const before = cluster.eventTypes().length;
    expect(good(cluster.resume("a", true)).status).toBe("active");
    expect(cluster.eventTypes()).toHaveLength(before);
  });
});

describe("a drain through crashes and restarts", () => {
  it("keeps its deadline when the object is evicted or restarts well before the deadline", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 30 }));
    const { drain } = cluster.agent("a");
    cluster.cluster.coordinator.end();
    await cluster.pass(10_000);
    cluster.cluster.kill();
    await cluster.pass(1000);
    cluster.cluster.start();
    await cluster.pass(18_900);
    expect(cluster.agent("a")).toMatchObject({ status: "draining", drain });
    expect(cluster.task("running").assigned_to).toBe("a");
    await cluster.pass(150);
    expect(cluster.task("running").assigned_to).toBe("b");
  });

  it("gives its agent one heartbeat timeout to report if the deadline passed during an outage", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a", { deadline_seconds: 5 }));
    cluster.cluster.kill();
    await cluster.pass(8000);
    cluster.cluster.start();
    await cluster.pass(2900);
    expect(cluster.task("running").assigned_to).toBe("a");
    await cluster.pass(200);
    expect(cluster.task("running").assigned_to).toBe("b");
  });

  it("moves every task once when the coordinator crashes between two batches", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 1000 });
    for (let index = 0; index < 250; index++) await cluster.submit({ id: `t${index}` });
    await cluster.register("b", { max_concurrent_tasks: 1000 });
    good(cluster.drain("a", { mode: "move" }));
    expect(cluster.agent("a").task_count).toBe(150);
    cluster.cluster.coordinator.end();
    await cluster.pass(2500);
    expect(cluster.agent("a").task_count).toBe(0);
    for (let index = 0; index < 250; index++) {
      expect(cluster.task(`t${index}`)).toMatchObject({ assigned_to: "b", attempt: 2 });
    }
  });

  it("stops moving tasks when it ends before the last batch", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 1000 });
    for (let index = 0; index < 150; index++) await cluster.submit({ id: `t${index}` });
    await cluster.register("b", { max_concurrent_tasks: 1000 });
    good(cluster.drain("a"));
    good(cluster.resume("a"));
    await cluster.pass(2000);
    expect(cluster.agent("a").task_count).toBe(50);
  });
});
