/**
 * Acknowledged changes are durable: a server under load is killed with SIGKILL at a random moment, again and again
 * on
 * the same data folder, and everything that it ever acknowledged is read after each start. A call that was in flight
 * and
 * not acknowledged may have happened or not. FAULT_SEED repeats the moments, FAULT_ROUNDS sets their number.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import type { ClusterStatus } from "../../src/contract/cluster.ts";
import type { Config } from "../../src/contract/config.ts";
import type { Failure } from "../../src/contract/failure.ts";
import type { Lock } from "../../src/contract/lock.ts";
import type { Decision } from "../../src/contract/placement/decision.ts";
import type { Task } from "../../src/contract/task.ts";
import { expectNoAgentLeft, registerIdleAgent } from "../support/agent-process.ts";
import { ClusterClient, type Follower } from "../support/cluster-client.ts";
import { chanceFrom } from "../support/measure.ts";
import { startServer } from "../support/server.ts";

const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 5);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);

const SUBMITTERS = 3;
const WORKERS = 3;
const LOCKERS = 2;
/** Idle agents, so that the failed ones are never a large part of the cluster. */
const CROWD = 60;
const FAILURES_A_ROUND = 5;
const FAILURE_PACE_MS = 60;

/** Tasks whose decisions are read after each start. */
const DECISIONS_READ = 40;

afterEach(expectNoAgentLeft);

/** The changes that the server has acknowledged so far. */
class Acknowledged {
  /** By task: the data it was submitted with. */
  readonly submitted = new Map<string, unknown>();
  /** By task: how it was completed. */
  readonly completed = new Map<string, { attempt: number; result: unknown }>();
  /** By resource: the last grant, or null if it was released; without those that have a call in flight. */
  readonly locks = new Map<string, Pick<Lock, "holder" | "fencing_token"> | null>();
  /** By failure: the agent. */
  readonly failures = new Map<string, string>();
  config = { version: 0, value: 0 };
  readonly #tokens = new Set<number>();
  #latestTokenBefore = 0;

  /** Fencing tokens are unique, and grow from one start of the server to the next. */
  noteToken(token: number): void {
    expect(token).toBeGreaterThan(this.#latestTokenBefore);
    expect(this.#tokens).not.toContain(token);
    this.#tokens.add(token);
  }

  noteRestart(): void {
    this.#latestTokenBefore = Math.max(this.#latestTokenBefore, ...this.#tokens);
    this.#tokens.clear();
  }

  toString(): string {
    return (
      `${this.submitted.size} tasks, ${this.completed.size} completed, ${this.locks.size} locks, ` +
      `${this.failures.size} failures, configuration version ${this.config.version}`
    );
  }
}

it("loses nothing that it acknowledged, however often it is killed under load", {
  timeout: 60_000 + ROUNDS * 5000,
}, async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "durability");
  await using follower = cluster.follow();
  const chance = chanceFrom(SEED);
  const acknowledged = new Acknowledged();
  const hands = await registerHands(cluster);
  const crowd = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`);
  await Promise.all(crowd.map((id) => registerIdleAgent(cluster, id, { capabilities: [] })));
  // So that every round begins with an acknowledged change.
  await changeConfig(cluster, acknowledged);

  for (let round = 0; round < ROUNDS; round++) {
    const load = runLoad(cluster, acknowledged, round, hands);
    const killAfterMs = 300 + chance() * 900;
    // The random moment of the kill is the subject of the test.
    await delay(killAfterMs);
    await server.kill();
    await load;
    acknowledged.noteRestart();
    await server.restart();
    await expectAllKept(cluster, follower, acknowledged);
    console.log(
      `seed ${SEED}, round ${round}: killed after ${killAfterMs.toFixed(0)} ms, all kept: ${acknowledged}`,
    );
  }
});

type Worker = { id: string; token: string };

/** All kinds of change at once, until there is no answer. */
function runLoad(
  cluster: ClusterClient,
  acknowledged: Acknowledged,
  round: number,
  hands: Hands,
): Promise<unknown> {
  return Promise.all([
    ...hands.submitters.map((name) =>
      untilCutOff((count) => submit(cluster, acknowledged, `${name}-${round}-${count}`)),
    ),
    ...hands.workers.map((worker) => untilCutOff(() => workOff(cluster, acknowledged, worker))),
    ...hands.lockers.map((locker) =>
      untilCutOff((count) => lock(cluster, acknowledged, locker, `${locker.id}/${round}/${count}`, count)),
    ),
    untilCutOff(() => changeConfig(cluster, acknowledged)),
    untilCutOff((count) => failAgent(cluster, acknowledged, `doomed-${round}-${count}`), FAILURES_A_ROUND),
  ]);
}

type Hands = { submitters: string[]; workers: Worker[]; lockers: Worker[] };

async function registerHands(cluster: ClusterClient): Promise<Hands> {
  const register = async (id: string, capabilities: string[]): Promise<Worker> => {
    const token = await registerIdleAgent(cluster, id, { capabilities, max_concurrent_tasks: 10_000 });
    return { id, token };
  };
  return {
    submitters: Array.from({ length: SUBMITTERS }, (_, index) => `task-${index}`),
    workers: await Promise.all(
      Array.from({ length: WORKERS }, (_, index) => register(`worker-${index}`, ["work"])),
    ),
    lockers: await Promise.all(
      Array.from({ length: LOCKERS }, (_, index) => register(`locker-${index}`, [])),
    ),
  };
}

/** Repeats the call until there is no answer. An error as an answer ends the test. */
async function untilCutOff(
  act: (count: number) => Promise<void>,
  limit = Number.POSITIVE_INFINITY,
): Promise<void> {
  try {
    for (let count = 0; count < limit; count++) await act(count);
  } catch (error) {
    // `fetch` reports like this that a connection failed, or broke off within an answer.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** One task, or every tenth time a batch. */
async function submit(cluster: ClusterClient, acknowledged: Acknowledged, name: string): Promise<void> {
  const tasks = Array.from({ length: name.endsWith("0") ? 10 : 1 }, (_, index) => ({
    id: `${name}-${index}`,
    type: "work",
    data: { name, index },
  }));
  if (tasks.length === 1) await cluster.ask("POST", "/tasks", tasks[0]);
  else await cluster.ask("POST", "/tasks/batch", { tasks });
  for (const { id, data } of tasks) acknowledged.submitted.set(id, data);
}

/** Completes the tasks that the agent holds, one by one. */
async function workOff(
  cluster: ClusterClient,
  acknowledged: Acknowledged,
  { id, token }: Worker,
): Promise<void> {
  const { items } = await cluster.ask<{ items: Task[] }>(
    "GET",
    `/groups/default/agents/${id}/tasks?wait_seconds=1`,
    undefined,
    { token },
  );
  for (const { id: taskId, attempt } of items) {
    const result = { by: id, attempt };
    await cluster.ask("POST", `/tasks/${taskId}/complete`, { agent_id: id, attempt, result }, { token });
    acknowledged.completed.set(taskId, { attempt, result });
  }
}

/** Acquires a lock, and keeps one in ten. */
async function lock(
  cluster: ClusterClient,
  acknowledged: Acknowledged,
  { id, token }: Worker,
  resource: string,
  count: number,
): Promise<void> {
  const path = `/groups/default/locks/${encodeURIComponent(resource)}`;
  const acquisition = { agent_id: id, ttl_seconds: 600 };
  const granted = await cluster.ask<{ lock: Lock }>("POST", `${path}/acquire`, acquisition, { token });
  const { holder, fencing_token } = granted.lock;
  acknowledged.noteToken(fencing_token);
  acknowledged.locks.set(resource, { holder, fencing_token });
  if (count % 10 === 0) return;
  acknowledged.locks.delete(resource);
  await cluster.ask("POST", `${path}/release`, { fencing_token }, { token });
  acknowledged.locks.set(resource, null);
}

/** Counts up, so that the value identifies the change. */
async function changeConfig(cluster: ClusterClient, acknowledged: Acknowledged): Promise<void> {
  const value = acknowledged.config.value + 1;
  const { headers, body } = await cluster.call<Config>("PATCH", "/config", {
    failover_config: { failure_cooldown_period: value },
  });
  expect(body.failover_config.failure_cooldown_period).toBe(value);
  acknowledged.config = { version: versionOf(headers), value };
}

/** An agent registers, gets tasks, and is reported as failed. */
async function failAgent(cluster: ClusterClient, acknowledged: Acknowledged, id: string): Promise<void> {
  await registerIdleAgent(cluster, id, { max_concurrent_tasks: 20 });
  // A pace that spreads the failovers over the round, so that the kill may come in the middle of one.
  await delay(FAILURE_PACE_MS);
  const { failure } = await cluster.ask<{ failure: Failure }>("POST", `/agents/${id}/failures`, {
    failure_type: "seen_burning",
  });
  acknowledged.failures.set(failure.id, id);
}

async function expectAllKept(
  cluster: ClusterClient,
  follower: Follower,
  acknowledged: Acknowledged,
): Promise<void> {
  // An interrupted failover is completed.
  for (const failureId of acknowledged.failures.keys()) {
    await follower.event("failure.failed_over", ({ subject }) => subject === failureId);
  }
  const failures = new Map((await cluster.all<Failure>("/failures")).map((failure) => [failure.id, failure]));
  for (const [failureId, agentId] of acknowledged.failures) {
    expect(failures.get(failureId)).toMatchObject({ agent_id: agentId, failure_type: "seen_burning" });
  }
  await expectTasksKept(cluster, acknowledged);
  await expectLocksKept(cluster, acknowledged);

  const { headers, body } = await cluster.call<Config>("GET", "/config");
  const isOneFurther = versionOf(headers) > acknowledged.config.version;
  // One change may have been in flight.
  const { version, value } = acknowledged.config;
  acknowledged.config = isOneFurther ? { version: version + 1, value: value + 1 } : { version, value };
  expect(versionOf(headers)).toBe(acknowledged.config.version);
  expect(body.failover_config.failure_cooldown_period).toBe(acknowledged.config.value);
}

async function expectTasksKept(cluster: ClusterClient, acknowledged: Acknowledged): Promise<void> {
  const tasks = new Map((await cluster.all<Task>("/tasks")).map((task) => [task.id, task]));
  for (const [taskId, data] of acknowledged.submitted) {
    expect(tasks.get(taskId), `${taskId} was acknowledged`).toMatchObject({ data });
  }
  for (const [taskId, completion] of acknowledged.completed) {
    expect(tasks.get(taskId), `${taskId} was completed`).toMatchObject({
      status: "completed",
      ...completion,
    });
  }
  const { tasks: counts } = await cluster.ask<ClusterStatus>("GET", "/status");
  for (const [status, count] of Object.entries(counts)) {
    expect([...tasks.values()].filter((task) => task.status === status)).toHaveLength(count);
  }
  const doomed = new Set(acknowledged.failures.values());
  const open = [...tasks.values()].filter(({ status }) => status === "assigned" || status === "running");
  for (const { assigned_to } of open) expect(doomed).not.toContain(assigned_to);
  for (const task of [...tasks.values()].filter(({ attempt }) => attempt > 1).slice(0, DECISIONS_READ)) {
    await expectOneAttemptEach(cluster, task);
  }
}

/** Every attempt has one decision, and the last decision names the holder. */
async function expectOneAttemptEach(cluster: ClusterClient, task: Task): Promise<void> {
  const decisions = await cluster.all<Decision>(`/tasks/${task.id}/decisions`);
  const given = decisions.filter(({ selected }) => selected !== null);
  expect(given.map(({ attempt }) => attempt)).toEqual(given.map((_, index) => index + 1));
  expect(given.at(-1)).toMatchObject({ selected: task.assigned_to, attempt: task.attempt });
}

async function expectLocksKept(cluster: ClusterClient, acknowledged: Acknowledged): Promise<void> {
  const held = new Map(
    (await cluster.all<Lock>("/groups/default/locks")).map((held) => [held.resource, held]),
  );
  for (const [resource, grant] of acknowledged.locks) {
    if (grant === null) expect(held.has(resource), `${resource} was released`).toBe(false);
    else expect(held.get(resource), `${resource} was granted`).toMatchObject(grant);
  }
  const tokens = [...held.values()].map(({ fencing_token }) => fencing_token);
  expect(new Set(tokens).size).toBe(tokens.length);
}

/** The version in an ETag. */
const versionOf = (headers: Headers) => Number(/^"(\d+)-/.exec(headers.get("ETag") ?? "")?.[1]);
