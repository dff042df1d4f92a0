/** Suspect agents, whose socket broke, as the coordinator handles them, step by step on simulated time. */
import { describe, expect, it } from "vitest";
import { agentPrincipal } from "../support/principals.ts";
import { clusterAtWork, good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const GRACE_MS = 5000;

function suspect(cluster: ScriptedCluster, agentId: string, incarnation = cluster.incarnationOf(agentId)) {
  const untilMs = Math.floor(cluster.world.nowMs) + GRACE_MS;
  cluster.deliverToCoordinator({ type: "agent_suspect", agentId, incarnation, untilMs });
}

function clear(cluster: ScriptedCluster, agentId: string, incarnation = cluster.incarnationOf(agentId)) {
  cluster.deliverToCoordinator({ type: "agent_cleared", agentId, incarnation });
}

const statusOf = (cluster: ScriptedCluster) =>
  cluster.cluster.coordinator.serve((service) => service.queries.status());

describe("a suspect agent", () => {
  it("gets no new tasks; its unstarted tasks move to others, and its running tasks stay", async () => {
    const cluster = await clusterAtWork();

    suspect(cluster, "a");

    expect(cluster.agent("a")).toMatchObject({ status: "suspect", task_count: 1 });
    expect(statusOf(cluster)).toMatchObject({
      active_agents: 2,
      inactive_agents: 0,
      agents_by_status: { active: 1, suspect: 1 },
    });
    expect(cluster.task("running")).toMatchObject({ status: "running", assigned_to: "a", attempt: 1 });
    expect(cluster.task("waiting")).toMatchObject({
      status: "assigned",
      assigned_to: "b",
      attempt: 2,
      reassignment_count: 0,
    });
    expect(cluster.decisions("waiting").at(-1)).toMatchObject({
      reason: "agent_failed",
      from_agent: "a",
      explanation: expect.stringContaining("the connection of a broke"),
    });
    expect(cluster.cluster.revoked).toEqual([
      { agentId: "a", taskId: "waiting", attempt: 1, reason: "agent_suspect" },
    ]);
    await cluster.submit({ id: "new" });
    expect(cluster.decisions("new").at(-1)).toMatchObject({
      selected: "b",
      excluded_counts: { suspect: 1 },
    });
    expect(cluster.eventTypes()).toContain("agent.suspect");
    expect(cluster.failures()).toEqual([]);
  });

  it("that is declared failed has the tasks that moved on suspicion in its failure", async () => {
    const cluster = await clusterAtWork();
    suspect(cluster, "a");
    await cluster.pass(1000);
    void cluster.cluster
      .group("default")
      .serve((service) => service.reportFailure("a", { failure_type: "reported" }));
    await cluster.pass(1000);
    expect(cluster.task("running")).toMatchObject({ assigned_to: "b", attempt: 2 });
    expect(cluster.failures()).toMatchObject([{ agent_id: "a", tasks_reassigned: 2 }]);
  });

  it("that was cleared has none of those tasks in a later failure", async () => {
    const cluster = await clusterAtWork();
    suspect(cluster, "a");
    await cluster.pass(1000);
    clear(cluster, "a");
    void cluster.cluster
      .group("default")
      .serve((service) => service.reportFailure("a", { failure_type: "reported" }));
    await cluster.pass(1000);
    expect(cluster.failures()).toMatchObject([{ agent_id: "a", tasks_reassigned: 1 }]);
  });

  it("keeps the tasks that no other agent can take, and is woken for them when it is back", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    suspect(cluster, "a");
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a", attempt: 1 });
    expect(cluster.decisions("t")).toHaveLength(1);
    await cluster.pass(1000);
    const group = cluster.cluster.group("default");
    group.serve((service) => service.recordTaskListRead("a", 0));
    clear(cluster, "a");
    await cluster.pass(50);
    const beat = good(
      group.serve((service) => service.heartbeat("a", {}, agentPrincipal("a", cluster.incarnationOf("a")))),
    );
    expect(beat).toMatchObject({ assigned_tasks: 1, tasks_changed: true });
    expect(good(cluster.start("t", "a", 1)).status).toBe("running");
  });

  it("that is back is active, and its free slots are filled", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    suspect(cluster, "a");
    await cluster.submit({ id: "t" });
    expect(cluster.task("t")).toMatchObject({ status: "pending", pending_code: "excluded" });
    clear(cluster, "a");
    expect(cluster.agent("a").status).toBe("active");
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a" });
    expect(cluster.eventTypes().filter((type) => type.startsWith("agent."))).toEqual([
      "agent.registered",
      "agent.suspect",
      "agent.active",
    ]);
  });

  it("that falls silent is failed over like any other agent", async () => {
    const cluster = await clusterAtWork();
    suspect(cluster, "a");
    cluster.silence("a");
    await cluster.pass(3250);
    expect(cluster.agent("a").status).toBe("inactive");
    expect(cluster.task("running")).toMatchObject({ assigned_to: "b", attempt: 2, reassignment_count: 1 });
    expect(cluster.task("waiting")).toMatchObject({ attempt: 2, reassignment_count: 0 });
    expect(cluster.failures()).toHaveLength(1);
  });

  it("that re-registers is active, and later news of its last incarnation is ignored", async () => {
    const cluster = await clusterAtWork();
    const before = cluster.incarnationOf("a");
    suspect(cluster, "a");
    await cluster.register("a");
    expect(cluster.agent("a").status).toBe("active");
    suspect(cluster, "a", before);
    expect(cluster.agent("a").status).toBe("active");
    suspect(cluster, "a");
    clear(cluster, "a", before);
    expect(cluster.agent("a").status).toBe("suspect");
  });

  it("that drains is still draining when it is back, and can be drained and resumed meanwhile", async () => {
    const cluster = await clusterAtWork();
    good(cluster.drain("a"));
    suspect(cluster, "a");
    expect(cluster.agent("a")).toMatchObject({ status: "suspect", drain: { mode: "finish" } });
    clear(cluster, "a");
    expect(cluster.agent("a").status).toBe("draining");
    suspect(cluster, "a");
    expect(good(cluster.resume("a"))).toMatchObject({ status: "suspect", drain: null });
    expect(good(cluster.drain("a", { mode: "move" }))).toMatchObject({ status: "suspect", task_count: 0 });
    clear(cluster, "a");
    expect(cluster.agent("a").status).toBe("draining");
  });

  it("keeps its tasks while failover is off, and loses them when it is on again", async () => {
    const cluster = await clusterAtWork({ failover_config: { enabled: false } });
    suspect(cluster, "a");
    expect(cluster.agent("a").status).toBe("suspect");
    expect(cluster.task("waiting")).toMatchObject({ assigned_to: "a", attempt: 1 });
    const change = cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ failover_config: { enabled: true } }, null),
    );
    await cluster.pass(2000);
    good(await change);
    expect(cluster.task("waiting")).toMatchObject({ assigned_to: "b", attempt: 2 });
    expect(cluster.task("running").assigned_to).toBe("a");
  });
});

describe("many tasks of a suspect agent", () => {
  /** 250 tasks wait with `a`, and `b` has this many slots. */
  async function crowded(slots: number): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 1000 });
    for (let index = 0; index < 250; index++) await cluster.submit({ id: `t${index}` });
    await cluster.register("b", { max_concurrent_tasks: slots });
    return cluster;
  }

  it("move once when the coordinator crashes between two batches; the rest stays with the agent", async () => {
    const cluster = await crowded(180);
    suspect(cluster, "a");
    expect(cluster.agent("b").task_count).toBe(100);
    cluster.cluster.coordinator.end();
    await cluster.pass(2500);
    expect(cluster.agent("b").task_count).toBe(180);
    expect(cluster.agent("a").task_count).toBe(70);
    expect(cluster.cluster.revoked).toHaveLength(180);
  });

  it("stay where they are once it is back", async () => {
    const cluster = await crowded(1000);
    suspect(cluster, "a");
    clear(cluster, "a");
    await cluster.pass(2500);
    expect(cluster.agent("a").task_count).toBe(150);
  });
});
