/** What a simulated failover says beside the moves of tasks: tasks that would be failed, locks that would be released. */
import { expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const simulate = (cluster: ScriptedCluster, agents: string[]) =>
  good(cluster.cluster.coordinator.serve((service) => service.simulateFailover({ agents, groups: [] })));

const releasedBy = (cluster: ScriptedCluster, agents: string[], limit = 10) =>
  cluster.cluster.group("default").serve((service) => service.locks.releasedByFailure(agents, limit));

/** Agent `a` holds two locks; `b` waits for one of them and `c` behind it. */
async function clusterWithLocks(config: ConfigInput = {}): Promise<ScriptedCluster> {
  const cluster = new ScriptedCluster(config);
  for (const id of ["a", "b", "c"]) await cluster.register(id);
  const acquire = (resource: string, agent_id: string) =>
    cluster.cluster
      .group("default")
      .serve((service) => service.locks.acquire(resource, { agent_id, wait_seconds: 30 }, ADMIN));
  for (const [resource, agentId] of [
    ["db/orders", "a"],
    ["db/users", "a"],
    ["db/orders", "b"],
    ["db/orders", "c"],
  ] as const)
    good(acquire(resource, agentId));
  return cluster;
}

it("names the tasks that would be failed, since they were reassigned too often", async () => {
  const cluster = new ScriptedCluster({ failover_config: { max_reassignment_attempts: 0 } });
  await cluster.register("a");
  await cluster.submit({ id: "t" });
  await cluster.register("b");
  expect(simulate(cluster, ["a"])).toMatchObject({
    agents: [{ agent_id: "a", group: "default" }],
    tasks: [{ task_id: "t", from: "a", to: null, status: "failed" }],
    failed: ["t"],
    stranded: [],
  });
  expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a" });
});

it("leaves out agents that are inactive already", async () => {
  const cluster = new ScriptedCluster();
  await cluster.register("a");
  cluster.silence("a");
  await cluster.pass(5000);
  expect(simulate(cluster, ["a"])).toMatchObject({ agents: [], tasks: [] });
});

it("names the locks that would be released, and the next holder that would not fail", async () => {
  const cluster = await clusterWithLocks();
  const users = { resource: "db/users", group: "default", holder: "a", next_holder: null };
  const orders = { resource: "db/orders", group: "default", holder: "a", next_holder: "b" };
  expect(releasedBy(cluster, ["a"])).toEqual({ released: [orders, users], count: 2 });
  expect(releasedBy(cluster, ["a", "b"]).released).toContainEqual({ ...orders, next_holder: "c" });
  expect(releasedBy(cluster, ["a"], 1)).toEqual({ released: [orders], count: 2 });
  expect(releasedBy(cluster, ["b"])).toEqual({ released: [], count: 0 });
});

it("releases no lock while failover is off, since the TTL ends it", async () => {
  const cluster = await clusterWithLocks({ failover_config: { enabled: false } });
  expect(releasedBy(cluster, ["a"])).toEqual({ released: [], count: 0 });
});
