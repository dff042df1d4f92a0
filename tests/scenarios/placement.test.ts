/** Choosing agents for many tasks: fair shares, backup lists over time, simulated failovers and readiness. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const NOTICED_MS = 3000 + 250;

function countsOf(cluster: ScriptedCluster, taskCount: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let index = 0; index < taskCount; index++) {
    const holder = cluster.task(`t${index}`).assigned_to ?? "none";
    counts.set(holder, (counts.get(holder) ?? 0) + 1);
  }
  return counts;
}

const STRATEGIES: [string, ConfigInput][] = [
  ["basic", { failover_config: { use_failover_strategy: false } }],
  ["failover", {}],
  ["backup_agent", { failover_config: { failover_strategy_type: "backup_agent" } }],
];

describe.each(STRATEGIES)("the tasks of a dead agent under %s", (_, config) => {
  it("are shared by 50 equal agents: none gets more than 1.2 times the mean", async () => {
    const cluster = new ScriptedCluster(config);
    await cluster.register("dead", { max_concurrent_tasks: 1000 });
    for (let index = 0; index < 1000; index++)
      await cluster.submit({ id: `t${index}`, priority: index % 11 });
    for (let index = 0; index < 50; index++)
      await cluster.register(`agent-${index}`, { max_concurrent_tasks: 100 });
    cluster.silence("dead");
    await cluster.pass(NOTICED_MS + 1000);
    const counts = countsOf(cluster, 1000);
    expect(counts.size).toBe(50);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(1.2 * 20);
  });

  it("go twice as often to an agent with twice the free slots", async () => {
    const cluster = new ScriptedCluster(config);
    await cluster.register("dead", { max_concurrent_tasks: 300 });
    for (let index = 0; index < 300; index++) await cluster.submit({ id: `t${index}` });
    await cluster.register("small", { max_concurrent_tasks: 200 });
    await cluster.register("large", { max_concurrent_tasks: 400 });
    cluster.silence("dead");
    await cluster.pass(NOTICED_MS + 1000);
    const counts = countsOf(cluster, 300);
    const ratio = (counts.get("large") ?? 0) / (counts.get("small") ?? 1);
    expect(ratio).toBeGreaterThan(1.8);
    expect(ratio).toBeLessThan(2.2);
  });
});

describe("under backup_agent", () => {
  const CONFIG: ConfigInput = { failover_config: { failover_strategy_type: "backup_agent" } };

  it("a task has its backups from the start, and three failures in a row go down the list", async () => {
    const cluster = new ScriptedCluster(CONFIG);
    for (const id of ["a", "b", "c", "d"]) await cluster.register(id);
    const task = await cluster.submit({ id: "t" });
    expect(task.backups).toHaveLength(2);
    const walked = [task.assigned_to, ...task.backups];
    for (let step = 0; step < 2; step++) {
      cluster.silence(walked[step] ?? "");
      await cluster.pass(NOTICED_MS);
      expect(cluster.task("t").assigned_to).toBe(walked[step + 1]);
    }
    cluster.silence(walked[2] ?? "");
    await cluster.pass(NOTICED_MS);
    const last = cluster.task("t");
    expect(walked).not.toContain(last.assigned_to);
    expect(last.status).toBe("assigned");
  });

  it("the backup list is filled up again when the task moves", async () => {
    const cluster = new ScriptedCluster(CONFIG);
    for (const id of ["a", "b", "c", "d"]) await cluster.register(id);
    const task = await cluster.submit({ id: "t" });
    cluster.silence(task.assigned_to ?? "");
    await cluster.pass(NOTICED_MS);
    const moved = cluster.task("t");
    expect(moved.backups).toHaveLength(2);
    expect(moved.backups).not.toContain(task.assigned_to);
    expect(moved.backups).not.toContain(moved.assigned_to);
    expect(moved.backups[0]).toBe(task.backups[1]);
  });

  it("the backup list shows which agents would take over now, as agents fail, register and return", async () => {
    const cluster = new ScriptedCluster(CONFIG);
    for (const id of ["a", "b", "c"]) await cluster.register(id);
    const { assigned_to, backups } = await cluster.submit({ id: "t" });
    const [first = "", second = ""] = backups;
    cluster.silence(first);
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ assigned_to, backups: [second] });
    await cluster.register("d");
    expect(cluster.task("t").backups).toEqual([second, "d"]);
    await cluster.register(first);
    // The agent is back and in its cool-down, so others are preferred.
    expect(cluster.task("t").backups).toEqual([second, "d"]);
    await cluster.pass(400_000);
    expect(cluster.task("t").backups[0]).toBe(first);
  });

  it("a backup list that an operator set keeps its order when the task moves", async () => {
    const cluster = new ScriptedCluster(CONFIG);
    for (const id of ["a", "b", "c", "d"]) await cluster.register(id);
    const { assigned_to } = await cluster.submit({ id: "t" });
    const others = ["d", "c", "b", "a"].filter((id) => id !== assigned_to);
    good(cluster.cluster.coordinator.serve((service) => service.setBackups("t", others)));
    cluster.silence(assigned_to ?? "");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ assigned_to: others[0], backups: others });
  });

  it("a change of the strategy takes effect with the next decision", async () => {
    const cluster = new ScriptedCluster();
    for (const id of ["a", "b", "c"]) await cluster.register(id);
    await cluster.submit({ id: "before" });
    const change = cluster.cluster.coordinator.serve((service) => service.config.patch(CONFIG, null));
    await cluster.submit({ id: "after" });
    await cluster.pass(100);
    good(await change);
    expect(cluster.decisions("before")[0]?.strategy).toBe("failover");
    expect(cluster.decisions("after")[0]?.strategy).toBe("backup_agent");
    expect(cluster.task("after").backups).toHaveLength(2);
  });
});

describe("an agent that failed two minutes ago and is back", () => {
  it("is avoided while another exists, and chosen when it is alone", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS + 120_000);
    await cluster.register("a");
    for (let index = 0; index < 5; index++) {
      expect((await cluster.submit({ id: `t${index}`, priority: 1 })).assigned_to).toBe("b");
    }
    cluster.silence("b");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t0").assigned_to).toBe("a");
    await cluster.pass(300_000);
    expect((await cluster.submit({ id: "later" })).assigned_to).toBe("a");
  });
});

describe("a simulated failover", () => {
  async function busyCluster(): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster();
    for (const id of ["a", "b", "c"]) await cluster.register(id, { max_concurrent_tasks: 20 });
    await cluster.register("special", { capabilities: ["resize", "engrave"], max_concurrent_tasks: 20 });
    for (let index = 0; index < 40; index++) await cluster.submit({ id: `t${index}`, priority: index % 11 });
    await cluster.submit({ id: "engraving", type: "engrave" });
    return cluster;
  }

  it("predicts exactly the moves of the real failover", async () => {
    const cluster = await busyCluster();
    const predicted = good(
      cluster.cluster.coordinator.serve((service) => service.simulateFailover({ agents: ["a"], groups: [] })),
    );
    expect(predicted.tasks.length).toBeGreaterThan(5);
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    for (const { task_id, from, to } of predicted.tasks) {
      expect(from).toBe("a");
      expect(cluster.task(task_id).assigned_to).toBe(to);
    }
  });

  it("changes nothing", async () => {
    const cluster = await busyCluster();
    const everything = () =>
      JSON.stringify([
        cluster.cluster.coordinator.serve((service) => service.queries.status()),
        cluster.cluster.coordinator.serve((service) => service.queries.agents({}, 100, null)),
        cluster.cluster.coordinator.serve((service) => service.queries.tasks({}, 100, null)),
        cluster.eventTypes(),
      ]);
    const before = everything();
    cluster.cluster.coordinator.serve((service) =>
      service.simulateFailover({ agents: [], groups: ["default"] }),
    );
    expect(everything()).toBe(before);
    await cluster.pass(1000);
    expect(everything()).toBe(before);
  });

  it("names the tasks that would be stranded, and the agents that would get the others", async () => {
    const cluster = await busyCluster();
    const { tasks, stranded, load_after } = good(
      cluster.cluster.coordinator.serve((service) =>
        service.simulateFailover({ agents: ["special"], groups: [] }),
      ),
    );
    expect(stranded).toEqual(["engraving"]);
    const lost = tasks.find(({ task_id }) => task_id === "engraving");
    expect(lost).toMatchObject({ to: null, status: "pending", decision: { selected: null } });
    expect(load_after.map(({ agent_id }) => agent_id)).toEqual(["a", "b", "c"]);
    expect(load_after.reduce((sum, { task_count }) => sum + task_count, 0)).toBe(40);
  });
});

describe("readiness", () => {
  const readinessOf = (cluster: ScriptedCluster) =>
    cluster.cluster.coordinator.serve((service) => service.readiness());

  it("has no findings when every capability, task and group has a backup", async () => {
    const cluster = new ScriptedCluster({ failover_config: { critical_agents: ["a"] } });
    await cluster.register("a");
    await cluster.register("b", {}, "other");
    await cluster.submit({ id: "t" });
    expect(readinessOf(cluster)).toMatchObject({ ready: true, missing: [], free_slots: 19 });
  });

  it("says what an empty cluster lacks, and what no active agent can do", async () => {
    const cluster = new ScriptedCluster();
    expect(readinessOf(cluster)).toMatchObject({
      ready: false,
      missing: ["no agent is active: start at least two agents for each task type"],
    });
    for (const id of ["a", "b"]) await cluster.register(id);
    for (const id of ["t", "u"]) await cluster.submit({ id, type: "engrave" });
    expect(readinessOf(cluster)).toMatchObject({
      ready: false,
      missing: ["no active agent can do engrave: 2 pending tasks need one"],
      single_capabilities: [],
    });
  });

  it("finds capabilities, tasks, critical agents, groups and slots without a backup", async () => {
    const cluster = new ScriptedCluster({ failover_config: { critical_agents: ["a", "ghost"] } });
    await cluster.register("a", { capabilities: ["resize", "engrave"], max_concurrent_tasks: 10 });
    await cluster.register("b", { max_concurrent_tasks: 1 }, "other");
    await cluster.submit({ id: "engraving", type: "engrave" });
    await cluster.submit({ id: "pinned", group: "default" });
    for (let index = 0; index < 4; index++) await cluster.submit({ id: `t${index}` });
    const found = readinessOf(cluster);
    expect(found.ready).toBe(false);
    expect(found.single_capabilities).toEqual([{ capability: "engrave", agent_id: "a" }]);
    expect(found.tasks_without_backup).toEqual({ count: 2, task_ids: ["engraving", "pinned"] });
    expect(found.critical_agents_without_backup).toEqual([
      { agent_id: "a", detail: "no other agent can do engrave" },
      { agent_id: "ghost", detail: "the agent is not active" },
    ]);
    expect(found.groups_at_risk[0]).toMatchObject({ group: "default", stranded_tasks: 2 });
    expect(found.slots_short).toBeGreaterThan(0);
  });
});
