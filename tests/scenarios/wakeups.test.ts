/** Wake-ups: how long they are repeated, and what ends them. */
import { describe, expect, it } from "vitest";
import type { TaskStatus } from "../../src/contract/task.ts";
import { agentPrincipal } from "../support/principals.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

/** By then a wake-up without effect has been repeated several times. */
const REPEATED_MS = 300_000;

/** Enough for a wake-up to arrive at the group. */
const MESSAGE_MS = 50;

/** A cluster that counts the wake-ups of its agents. */
class WakeupCounter extends ScriptedCluster {
  /** When agents are woken from now on, in seconds. */
  countWakeups(): number[] {
    const fromMs = this.world.nowMs;
    const wokenAt: number[] = [];
    const group = this.cluster.group("default").serve((service) => service);
    const { wakeAgent } = group;
    group.wakeAgent = (wakeup) => {
      wokenAt.push(Math.floor((this.world.nowMs - fromMs) / 1000));
      wakeAgent.call(group, wakeup);
    };
    return wokenAt;
  }

  /** The agent reads its list, as over HTTP. */
  read(id: string, statuses: readonly TaskStatus[], limit = 100) {
    return this.cluster.coordinator.serve(({ queries }) =>
      queries.tasksOf(id, { statuses, limit, cursor: null }, agentPrincipal(id, 1)),
    );
  }
}

/** `a` has not started `one` and `two`. */
async function twoUnstarted(): Promise<WakeupCounter> {
  const cluster = new WakeupCounter();
  await cluster.register("a");
  await cluster.submit({ id: "one" });
  await cluster.submit({ id: "two" });
  await cluster.pass(MESSAGE_MS);
  return cluster;
}

describe("a wake-up", () => {
  it("is repeated after 1 s, 2 s, 4 s and so on, for an hour or so", async () => {
    const cluster = await twoUnstarted();
    const wakeups = cluster.countWakeups();
    await cluster.pass(10_000_000);
    expect(wakeups).toEqual([0, 2, 6, 14, 30, 62, 126, 254, 510, 1022, 2046, 4094]);
  });

  it("is repeated while there is an unstarted task, also when the agent starts another", async () => {
    const cluster = await twoUnstarted();
    const wakeups = cluster.countWakeups();
    good(cluster.start("one", "a", 1));
    await cluster.pass(REPEATED_MS);
    expect(wakeups.length).toBeGreaterThan(5);
  });

  it.each<[string, (cluster: WakeupCounter, task: string) => unknown]>([
    ["started", (cluster, task) => cluster.start(task, "a", 1)],
    ["completed without a report of the start", (cluster, task) => cluster.complete(task, "a", 1, "done")],
    ["failed for good", (cluster, task) => cluster.fail(task, "a", 1, false)],
  ])("ends when all tasks are %s", async (_, act) => {
    const cluster = await twoUnstarted();
    act(cluster, "one");
    act(cluster, "two");
    const wakeups = cluster.countWakeups();
    await cluster.pass(REPEATED_MS);
    expect(wakeups).toEqual([]);
  });

  it("ends when the agent reads all its unstarted tasks", async () => {
    const cluster = await twoUnstarted();
    expect(cluster.read("a", ["assigned", "running"]).items).toHaveLength(2);
    const wakeups = cluster.countWakeups();
    await cluster.pass(REPEATED_MS);
    expect(wakeups).toEqual([]);
  });

  it.each<[string, readonly TaskStatus[], number]>([
    ["of its running tasks", ["running"], 100],
    ["of the first page only", ["assigned"], 1],
  ])("is repeated after a read %s", async (_, statuses, limit) => {
    const cluster = await twoUnstarted();
    cluster.read("a", statuses, limit);
    const wakeups = cluster.countWakeups();
    await cluster.pass(REPEATED_MS);
    expect(wakeups.length).toBeGreaterThan(5);
  });

  it("is repeated as before when the coordinator leaves memory after every event", async () => {
    const cluster = await twoUnstarted();
    const wakeups = cluster.countWakeups();
    for (let passedMs = 0; passedMs < REPEATED_MS; passedMs += 500) {
      cluster.cluster.coordinator.evict();
      await cluster.pass(500);
    }
    expect(wakeups).toEqual([0, 2, 6, 14, 30, 62, 126, 254]);
  });
});
