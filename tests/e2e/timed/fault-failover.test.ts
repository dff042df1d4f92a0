/**
 * Difficult failovers: agents that fail together, and one with a thousand tasks whose coordinator is killed in
 * the middle of moving them.
 */
import { afterEach, expect, it } from "vitest";
import type { Failure } from "../../../src/contract/failure.ts";
import type { Decision } from "../../../src/contract/placement/decision.ts";
import type { Task } from "../../../src/contract/task.ts";
import { AgentProcess, expectNoAgentLeft, registerIdleAgent } from "../../support/agent-process.ts";
import { ClusterClient, type Follower } from "../../support/cluster-client.ts";
import { figures } from "../../support/measure.ts";
import { startServer } from "../../support/server.ts";

afterEach(expectNoAgentLeft);

const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 2);
const TASKS_OF_BOTH = 20;

it("never assigns the tasks of one failing agent to another that is noticed with it", async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "found-together");
  await using follower = cluster.follow();
  await using pair = await Pair.start(cluster);
  // A restart gives both their whole timeout from the same instant.
  await Promise.all([server.kill(), pair.kill()]);
  await server.restart();
  await pair.expectNothingHandedOver(cluster, follower, "found together");
});

it("never assigns the tasks of one failing agent to another killed with it, even one with a slightly later heartbeat", {
  timeout: 60_000 + ROUNDS * 5000,
}, async () => {
  await using server = await startServer();
  for (let round = 0; round < ROUNDS; round++) {
    const cluster = new ClusterClient(server, `killed-together-${round}`);
    await using follower = cluster.follow();
    await using pair = await Pair.start(cluster);
    await pair.kill();
    await pair.expectNothingHandedOver(cluster, follower, "killed together");
  }
});

/** Two agents with tasks, and a third that is the last choice while one of them seems live: it is the busiest. */
class Pair implements AsyncDisposable {
  readonly #agents: readonly [AgentProcess, AgentProcess];

  static async start(cluster: ClusterClient): Promise<Pair> {
    await registerIdleAgent(cluster, "heir", { capabilities: ["work", "chore"], max_concurrent_tasks: 100 });
    await cluster.ask("POST", "/tasks/batch", { tasks: numbered("chore", 70) });
    const pair = new Pair([
      await AgentProcess.start(cluster, { id: "one", maxConcurrentTasks: 100 }),
      await AgentProcess.start(cluster, { id: "two", maxConcurrentTasks: 100 }),
    ]);
    await cluster.ask("POST", "/tasks/batch", { tasks: numbered("work", TASKS_OF_BOTH) });
    const nowMs = Date.now();
    await Promise.all(pair.#agents.map((agent) => agent.beatSince(nowMs)));
    return pair;
  }

  private constructor(agents: readonly [AgentProcess, AgentProcess]) {
    this.#agents = agents;
  }

  async kill(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.kill()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async expectNothingHandedOver(cluster: ClusterClient, follower: Follower, how: string): Promise<void> {
    for (const { id } of this.#agents) {
      const { event } = await follower.event("failure.recorded", ({ data }) => data.agent_id === id);
      await follower.event("failure.failed_over", ({ subject }) => subject === event.subject);
    }
    const moves: Decision[] = [];
    for (const { id } of numbered("work", TASKS_OF_BOTH)) {
      const decisions = await cluster.all<Decision>(`/tasks/${id}/decisions`);
      moves.push(...decisions.filter(({ reason }) => reason === "agent_failed"));
    }
    const between = moves.filter(({ selected }) => selected !== "heir");
    const [one, two] = this.#agents;
    console.log(
      `two agents ${how}, last heard ${Math.abs(one.lastBeatSentAtMs - two.lastBeatSentAtMs)} ms apart: ` +
        `${TASKS_OF_BOTH} tasks moved ${moves.length} times, ${between.length} times from one to the other`,
    );
    expect(between.map(({ from_agent, selected }) => `${from_agent} to ${selected}`)).toEqual([]);
    expect(moves).toHaveLength(TASKS_OF_BOTH);
  }
}

/** Tasks that differ in their numbers only. */
const numbered = (type: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({ id: `${type}-${index}`, type }));

const TASKS = 1000;
const HEIRS = 50;
/** Room for half as much again as there is. */
const SLOTS = 30;
const READ_AT_ONCE = 20;

it("moves a thousand tasks over fifty agents in batches, and loses none although it is killed in the middle", async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "thousand");
  await using follower = cluster.follow();
  await using victim = await AgentProcess.start(cluster, { id: "victim", maxConcurrentTasks: TASKS });
  const submissions = numbered("work", TASKS);
  await cluster.ask("POST", "/tasks/batch", { tasks: submissions });
  const heirs = Array.from({ length: HEIRS }, (_, index) => `heir-${index}`);
  await Promise.all(heirs.map((id) => registerIdleAgent(cluster, id, { max_concurrent_tasks: SLOTS })));

  await victim.kill();
  await follower.event("task.assigned", ({ data }) => data.attempt === 2);
  await server.kill();
  const killedAtMs = Date.now();
  await server.restart();
  const readyAtMs = Date.now();
  const { event, arrivedAtMs } = await follower.event("failure.failed_over");

  const { failure } = await cluster.ask<{ failure: Failure }>("GET", `/failures/${event.subject}`);
  expect(failure).toMatchObject({
    agent_id: "victim",
    tasks_reassigned: TASKS,
    tasks_pending: 0,
    tasks_failed: 0,
  });
  const tasks = await cluster.all<Task>("/tasks");
  expect(new Set(tasks.map(({ id }) => id))).toEqual(new Set(submissions.map(({ id }) => id)));
  const movedBefore = tasks.filter(({ assigned_at }) => Date.parse(assigned_at ?? "") < killedAtMs);
  expect(movedBefore.length, "the server was not killed in the middle").toBeLessThan(TASKS);
  const loads = Map.groupBy(tasks, ({ assigned_to }) => assigned_to);
  console.log(
    `a thousand tasks: ${movedBefore.length} had moved when the server was killed, the rest by ` +
      `${arrivedAtMs - readyAtMs} ms after its return; ${figures(
        "tasks an agent",
        [...loads.values()].map((held) => held.length),
        "tasks",
      )}`,
  );
  expect([...loads.keys()].every((id) => id?.startsWith("heir-"))).toBe(true);
  expect(Math.max(...[...loads.values()].map((held) => held.length))).toBeLessThanOrEqual(SLOTS);
  for (const task of tasks) {
    expect(task).toMatchObject({ status: "assigned", attempt: 2, previous_agents: ["victim"] });
  }
  for (let from = 0; from < tasks.length; from += READ_AT_ONCE) {
    await Promise.all(
      tasks.slice(from, from + READ_AT_ONCE).map((task) => expectTwoDecisions(cluster, task)),
    );
  }
});

async function expectTwoDecisions(cluster: ClusterClient, { id, assigned_to }: Task): Promise<void> {
  expect(await cluster.all<Decision>(`/tasks/${id}/decisions`)).toMatchObject([
    { attempt: 1, reason: "submitted", selected: "victim" },
    { attempt: 2, reason: "agent_failed", selected: assigned_to },
  ]);
}
