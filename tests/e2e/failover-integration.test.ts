/**
 * The example of docs/origin.md from end to end over HTTP: two agents, a task, a failure, its
 * history, the status of the cluster; and simulated failures.
 */
import { describe, expect, it } from "vitest";
import { Readiness, SimulatedFailover } from "../../src/contract/placement/failover-simulation.ts";
import { apiOfThisFile, type CheckedCluster, type TestAgent } from "../support/checked-cluster.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

/** Short, so that a failure is noticed within a test. */
const QUICK = { heartbeat_interval_seconds: 0.3, heartbeat_timeout_seconds: 1 };

/** The agents of the example. */
async function exampleOf(cluster: CheckedCluster): Promise<{ agent1: TestAgent; agent2: TestAgent }> {
  const agent1 = await cluster.register("agent1", {
    ...QUICK,
    type: "worker",
    capabilities: ["task_type1", "task_type2"],
    endpoint: "http://agent1",
  });
  const agent2 = await cluster.register("agent2", {
    type: "worker",
    capabilities: ["task_type1", "task_type3"],
    endpoint: "http://agent2",
  });
  return { agent1, agent2 };
}

const TASK = { id: "task1", type: "task_type1", priority: 5, data: { input: "data1" } };

/** The task of the example, held by agent1. */
async function givenToAgent1(cluster: CheckedCluster): Promise<void> {
  // The strategy chooses the first holder: agent2 gets tasks until one goes to agent1.
  for (let index = 0; ; index++) {
    const { task } = await cluster.submit({ ...TASK, id: `task1-${index}` });
    if (task.assigned_to === "agent1") return;
  }
}

describe("the example of docs/origin.md", () => {
  it("assigns the task, moves it when its agent fails, and shows the history and the status", async () => {
    const cluster = api.cluster();
    await exampleOf(cluster);
    const { task, decision } = await cluster.submit(TASK);
    expect(["agent1", "agent2"]).toContain(task.assigned_to);
    expect(decision?.explanation).toContain(task.assigned_to);
    await givenToAgent1(cluster);

    const [failure] = await until(async () => {
      const { items } = await cluster.failures({ agent_id: "agent1", failure_type: "heartbeat_timeout" });
      return items.length > 0 && items;
    }, "the death of agent1");
    expect(failure).toMatchObject({
      agent_id: "agent1",
      severity: "error",
      agent: { type: "worker", capabilities: ["task_type1", "task_type2"] },
    });
    const tasks = await until(async () => {
      const { items } = await cluster.tasks();
      return items.every((moved) => moved.assigned_to === "agent2") && items;
    }, "every task to be with agent2");
    expect(tasks.some(({ reassignment_count }) => reassignment_count === 1)).toBe(true);
    expect(await cluster.status()).toMatchObject({
      total_agents: 2,
      active_agents: 1,
      inactive_agents: 1,
      failure_count: 1,
    });
    const told = await cluster.toldOf(failure?.id ?? "");
    expect(new Set(told.map(({ channel }) => channel))).toEqual(new Set(["log", "system"]));
  });

  it.each([
    ["failover", { use_failover_strategy: true, failover_strategy_type: "failover" }],
    ["backup_agent", { use_failover_strategy: true, failover_strategy_type: "backup_agent" }],
    ["basic", { use_failover_strategy: false }],
  ])("decides by %s as soon as the configuration names it", async (strategy, failover_config) => {
    const cluster = api.cluster();
    await exampleOf(cluster);
    await cluster.configure({ failover_config });
    const { task, decision } = await cluster.submit(TASK);
    expect(decision?.strategy).toBe(strategy);
    expect((await cluster.status()).strategy).toBe(strategy);
    if (strategy === "backup_agent") expect(task.backups).toHaveLength(1);
  });
});

describe("POST simulations/failover", () => {
  it("predicts exactly what the real failure does", async () => {
    const cluster = api.cluster();
    const { agent1 } = await exampleOf(cluster);
    await cluster.submit({ id: "special", type: "task_type2" });
    await givenToAgent1(cluster);
    await agent1.heartbeat();
    await cluster.post("/groups/default/locks/db%2Forders/acquire", { agent_id: "agent1" });
    const foretold = (await cluster.post("/simulations/failover", { agents: ["agent1"] })).as(
      200,
      SimulatedFailover,
    );
    expect(foretold.stranded).toEqual(["special"]);
    const lock = { resource: "db/orders", group: "default", holder: "agent1", next_holder: null };
    expect(foretold).toMatchObject({ failed: [], locks_released: [lock], locks_released_count: 1 });
    expect(foretold.load_after.map(({ agent_id }) => agent_id)).toEqual(["agent2"]);
    expect((await cluster.failures()).items).toEqual([]);

    await cluster.post("/agents/agent1/failures", { failure_type: "power_cut" });
    for (const { task_id, to, status } of foretold.tasks) {
      expect(await cluster.task(task_id)).toMatchObject({ assigned_to: to, status });
    }
  });

  it("refuses unknown agents and groups, and an empty request", async () => {
    const cluster = api.cluster();
    await exampleOf(cluster);
    (await cluster.post("/simulations/failover", { agents: ["nobody"] })).problem(404, "not_found");
    (await cluster.post("/simulations/failover", { groups: ["nowhere"] })).problem(404, "not_found");
    (await cluster.post("/simulations/failover", {})).problem(400, "invalid_request");
  });
});

describe("GET readiness", () => {
  it("lists tasks and capabilities that depend on a single agent", async () => {
    const cluster = api.cluster();
    await exampleOf(cluster);
    const found = (await cluster.get("/readiness")).as(200, Readiness);
    expect(found.ready).toBe(false);
    expect(found.single_capabilities).toEqual([
      { capability: "task_type2", agent_id: "agent1" },
      { capability: "task_type3", agent_id: "agent2" },
    ]);
  });
});
