/** Doorbells that are not answered: until when they are repeated, and what answers them. */
import { describe, expect, it } from "vitest";
import type { TaskStatus } from "../../src/contract/task.ts";
import { agentPrincipal } from "../support/principals.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

/** By then a doorbell that goes on has been repeated several times. */
const REPEATED_MS = 300_000;

/** What is done to the coordinator has reached the group. */
const MESSAGE_MS = 50;

/** A cluster that counts how often its agents' doorbells are rung. */
class Belfry extends ScriptedCluster {
  /** When the agents' doorbells were rung, in seconds since the count began. */
  countRings(): number[] {
    const fromMs = this.world.nowMs;
    const rungAt: number[] = [];
    const group = this.cluster.group("default").serve((service) => service);
    const { wakeAgent: ringDoorbell } = group;
    group.wakeAgent = (doorbell) => {
      rungAt.push(Math.floor((this.world.nowMs - fromMs) / 1000));
      ringDoorbell.call(group, doorbell);
    };
    return rungAt;
  }

  /** The agent reads its list, as over HTTP. */
  read(id: string, statuses: readonly TaskStatus[], limit = 100) {
    return this.cluster.coordinator.serve(({ queries }) =>
      queries.tasksOf(id, { statuses, limit, cursor: null }, agentPrincipal(id, 1)),
    );
  }
}

/** `a` has not started `one` and `two`. */
async function belfry(): Promise<Belfry> {
  const cluster = new Belfry();
  await cluster.register("a");
  await cluster.submit({ id: "one" });
  await cluster.submit({ id: "two" });
  await cluster.pass(MESSAGE_MS);
  return cluster;
}

describe("a doorbell", () => {
  it("is repeated after 1 s, 2 s, 4 s and so on, for an hour or so", async () => {
    const cluster = await belfry();
    const rings = cluster.countRings();
    await cluster.pass(10_000_000);
    expect(rings).toEqual([0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046, 4094]);
  });

  it("goes on while there is something to start, whatever the agent starts", async () => {
    const cluster = await belfry();
    const rings = cluster.countRings();
    good(cluster.start("one", "a", 1));
    await cluster.pass(REPEATED_MS);
    expect(rings.length).toBeGreaterThan(5);
  });

  it.each<[string, (cluster: Belfry, task: string) => unknown]>([
    ["started", (cluster, task) => cluster.start(task, "a", 1)],
    ["done, with no word of its start", (cluster, task) => cluster.complete(task, "a", 1, "done")],
    ["given up for good", (cluster, task) => cluster.fail(task, "a", 1, false)],
  ])("ends when all tasks are %s", async (_, act) => {
    const cluster = await belfry();
    act(cluster, "one");
    act(cluster, "two");
    const rings = cluster.countRings();
    await cluster.pass(REPEATED_MS);
    expect(rings).toEqual([]);
  });

  it("is answered when the agent reads what it has not started", async () => {
    const cluster = await belfry();
    expect(cluster.read("a", ["assigned", "running"]).items).toHaveLength(2);
    const rings = cluster.countRings();
    await cluster.pass(REPEATED_MS);
    expect(rings).toEqual([]);
  });

  it.each<[string, readonly TaskStatus[], number]>([
    ["of what it runs", ["running"], 100],
    ["of the first page", ["assigned"], 1],
  ])("is not answered by a read %s", async (_, statuses, limit) => {
    const cluster = await belfry();
    cluster.read("a", statuses, limit);
    const rings = cluster.countRings();
    await cluster.pass(REPEATED_MS);
    expect(rings.length).toBeGreaterThan(5);
  });

  it("is repeated as before when the coordinator leaves memory after every event", async () => {
    const cluster = await belfry();
    const rings = cluster.countRings();
    for (let passedMs = 0; passedMs < REPEATED_MS; passedMs += 500) {
      cluster.cluster.coordinator.evict();
      await cluster.pass(500);
    }
    expect(rings).toEqual([0, 2, 6, 14, 30, 62, 126, 254]);
  });
});
