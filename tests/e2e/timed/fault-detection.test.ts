/**
 * The time until the failure of an agent is noticed, which is never too early: processes that are killed with
 * SIGKILL, measured by the coordinator's clock and, where that could be wrong, by the agents' own.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import type { Failure } from "../../../src/contract/failure.ts";
import type { Lock } from "../../../src/contract/lock.ts";
import type { Decision } from "../../../src/contract/placement/decision.ts";
import type { Task } from "../../../src/contract/task.ts";
import { AgentProcess, expectNoAgentLeft, registerIdleAgent } from "../../support/agent-process.ts";
import { ClusterClient, type Follower } from "../../support/cluster-client.ts";
import { chanceFrom, figures, Noise } from "../../support/measure.ts";
import { startServer } from "../../support/server.ts";

const TIMEOUT_MS = 1000;
/** The limit for declaring a silent agent failed, reassigning its tasks and releasing its locks. */
const LATENESS_LIMIT_MS = 250;

const VICTIMS = 20;
/** More than the victims: a loss of half of a cluster would be treated as a fault of the network. */
const HEIRS = 24;
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);

afterEach(expectNoAgentLeft);

/** Delays after the end of its timeout; a delay that must not be early is never negative. */
type Lateness = {
  declared: number;
  reassigned: number;
  lockGranted: number;
  eventArrived: number;
  /** From the last acknowledged heartbeat, by the agent's own report. */
  byAgentsAccount: number;
};

it("declares a killed agent failed, moves its tasks and releases its locks within 250 ms of its timeout, never before it", async () => {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const cluster = new ClusterClient(server, "detection");
  const follower = stack.use(cluster.follow());
  const victims = await Promise.all(
    Array.from({ length: VICTIMS }, (_, index) =>
      AgentProcess.start(cluster, { id: `victim-${index}`, capabilities: [`work-${index}`] }),
    ),
  );
  for (const victim of victims) stack.use(victim);
  await Promise.all(victims.map((victim, index) => giveWork(cluster, victim.id, index)));
  const capabilities = victims.map((_, index) => `work-${index}`);
  const heirs = Array.from({ length: HEIRS }, (_, index) => `heir-${index}`);
  await Promise.all(heirs.map((id) => registerIdleAgent(cluster, id, { capabilities })));

  using noise = new Noise();
  const chance = chanceFrom(SEED);
  const measured: Promise<Lateness>[] = [];
  for (const victim of victims) {
    // A kill comes at a random moment between two heartbeats, also while other failures are being noticed.
    await delay(20 + chance() * 180);
    measured.push(killAndMeasure(cluster, follower, victim));
  }
  const all = await Promise.all(measured);

  const pauses = follower.arrivals.filter(({ event }) => event.type === "coordinator.paused");
  console.log(`seed ${SEED}; ${pauses.length} pauses of the coordinator; ${noise}`);
  for (const what of ["declared", "reassigned", "lockGranted", "eventArrived", "byAgentsAccount"] as const) {
    const values = all.map((lateness) => lateness[what]);
    console.log(figures(`detection, ${what} after the timeout`, values));
    expect(Math.min(...values), `${what} too early`).toBeGreaterThanOrEqual(0);
  }
  for (const what of ["declared", "reassigned", "lockGranted"] as const) {
    const latest = Math.max(...all.map((lateness) => lateness[what]));
    expect(latest, `${what} too late; ${noise}`).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
  }
});

/** One task that only this agent can do so far, and one lock. */
async function giveWork(cluster: ClusterClient, agentId: string, index: number): Promise<void> {
  const submission = { id: `task-of-${agentId}`, type: `work-${index}` };
  const { task } = await cluster.ask<{ task: Task }>("POST", "/tasks", submission);
  expect(task.assigned_to).toBe(agentId);
  await cluster.ask("POST", lockPath(agentId, "acquire"), { agent_id: agentId, ttl_seconds: 600 });
}

async function killAndMeasure(
  cluster: ClusterClient,
  follower: Follower,
  victim: AgentProcess,
): Promise<Lateness> {
  await victim.kill();
  const acknowledgedMs = victim.lastBeatSentAtMs;
  const untimely = lockIsHeldUntil(cluster, victim.id, acknowledgedMs + TIMEOUT_MS);

  await follower.event("lock.released", ({ subject }) => subject === lockOf(victim.id));
  const { lock } = await cluster.ask<{ lock: Lock }>("POST", lockPath(victim.id, "acquire"), {
    agent_id: "heir-0",
  });
  const { event, arrivedAtMs } = await follower.event(
    "failure.recorded",
    ({ data }) => data.agent_id === victim.id,
  );
  await follower.event("failure.failed_over", ({ subject }) => subject === event.subject);
  expect(await untimely, "the lock was free before the timeout").toBe(true);

  const { failure } = await cluster.ask<{ failure: Failure }>("GET", `/failures/${event.subject}`);
  const lastSignMs = Date.parse(failure.agent?.last_heartbeat_at ?? "");
  const endMs = lastSignMs + TIMEOUT_MS;
  // Acknowledged heartbeats count.
  expect(lastSignMs).toBeGreaterThanOrEqual(acknowledgedMs);
  expect(failure.detection_seconds).toBe((Date.parse(failure.at) - lastSignMs) / 1000);
  expect(failure).toMatchObject({ failure_type: "heartbeat_timeout", locks_released: [lockOf(victim.id)] });

  const decision = await lastDecision(cluster, `task-of-${victim.id}`);
  expect(decision).toMatchObject({ reason: "agent_failed", from_agent: victim.id, attempt: 2 });
  expect(decision.selected).toMatch(/^heir-/);
  return {
    declared: Date.parse(failure.at) - endMs,
    reassigned: Date.parse(decision.at) - endMs,
    lockGranted: Date.parse(lock.acquired_at) - endMs,
    eventArrived: arrivedAtMs - endMs,
    byAgentsAccount: Date.parse(failure.at) - (acknowledgedMs + TIMEOUT_MS),
  };
}

/** Requests a lock shortly before `endMs`. @returns whether it was refused, or the answer came too late to decide */
async function lockIsHeldUntil(cluster: ClusterClient, agentId: string, endMs: number): Promise<boolean> {
  // The moment of the request is the subject of the test.
  await delay(endMs - 50 - Date.now());
  const { status } = await cluster.call("POST", lockPath(agentId, "acquire"), { agent_id: "heir-1" });
  return status === 409 || Date.now() >= endMs;
}

async function lastDecision(cluster: ClusterClient, taskId: string): Promise<Decision> {
  const decision = (await cluster.all<Decision>(`/tasks/${taskId}/decisions`)).at(-1);
  if (decision === undefined) throw new Error(`${taskId} was never decided on`);
  return decision;
}

const lockOf = (agentId: string) => `lock of ${agentId}`;
const lockPath = (agentId: string, verb: string) =>
  `/groups/default/locks/${encodeURIComponent(lockOf(agentId))}/${verb}`;
