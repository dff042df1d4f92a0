/**
 * Outages of the coordinator itself: killed with SIGKILL and restarted on the same data folder, or
 * stopped. An outage fails no agent, and delays the notice of a real failure by at most one timeout. FAULT_ROUNDS
 * sets how
 * often it is stopped for each duration.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { Failure } from "../../../src/contract/failure.ts";
import type { Task } from "../../../src/contract/task.ts";
import { AgentProcess, expectNoAgentLeft } from "../../support/agent-process.ts";
import { ClusterClient, type Follower } from "../../support/cluster-client.ts";
import { figures, Noise } from "../../support/measure.ts";
import { type Server, startServer } from "../../support/server.ts";

/** The limit for noticing a failure, from a timeout after the coordinator's return. */
const LATENESS_LIMIT_MS = 250;
const FLEET = 4;
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 2);

afterEach(expectNoAgentLeft);

describe("a coordinator that is killed and restarted", () => {
  it.each([
    { outage: "three times the timeout", timeoutMs: 1000, outageMs: 3000 },
    // As short as a start takes.
    { outage: "a fifth of the timeout", timeoutMs: 3000, outageMs: 0 },
  ])(
    "fails no live agent after $outage, and declares the dead ones failed within one timeout, also one alone in its group",
    async ({ outage, timeoutMs, outageMs }) => {
      await using server = await startServer();
      await using stack = new AsyncDisposableStack();
      const cluster = new ClusterClient(server, "outage");
      const follower = stack.use(cluster.follow());
      const fleet = await startFleet(cluster, stack, timeoutMs);
      const early = stack.use(await startHolder(cluster, "dies-before", timeoutMs));
      const late = stack.use(await startHolder(cluster, "dies-meanwhile", timeoutMs));
      // No call reaches its group after the return.
      const desert = new ClusterClient(server, "desert");
      const desertFollower = stack.use(desert.follow());
      const alone = stack.use(await startHolder(desert, "alone", timeoutMs));

      using noise = new Noise();
      await Promise.all([early.kill(), alone.kill()]);
      const { leftAtMs, startedAtMs, readyAtMs } = await beAway(server, outageMs, () => late.kill());

      const found = await Promise.all([
        failureOf(cluster, follower, early),
        failureOf(cluster, follower, late),
        failureOf(desert, desertFollower, alone),
      ]);
      await expectUnharmed(cluster, fleet, readyAtMs + timeoutMs);
      expect(await deathsIn(cluster)).toHaveLength(2);
      expect(await deathsIn(desert)).toHaveLength(1);
      await follower.event("coordinator.paused", ({ data }) => data.cause === "restarted");

      const lateness = found.map(({ at }) => Date.parse(at) - (readyAtMs + timeoutMs));
      console.log(
        `away for ${outage}: ${readyAtMs - leftAtMs} ms of ${timeoutMs} ms; ${fleet.length} alive, none failed; ` +
          `${figures("deaths found a timeout after the return and", lateness)}; ${noise}`,
      );
      for (const { at } of found) {
        expect(Date.parse(at)).toBeGreaterThanOrEqual(startedAtMs + timeoutMs);
      }
      expect(Math.max(...lateness), `${noise}`).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
    },
  );
});

it("fails no agent after it was stopped itself, records the outage, and still notices a failure", {
  timeout: 60_000 + ROUNDS * 10_000,
}, async () => {
  const timeoutMs = 1000;
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const cluster = new ClusterClient(server, "pause");
  const follower = stack.use(cluster.follow());
  const fleet = await startFleet(cluster, stack, timeoutMs);

  /** @returns when the server was stopped and for how long, and how many pauses it recorded */
  const standStill = async (share: number) => {
    const known = pausesOf(follower).length;
    await server.pause();
    const fromMs = Date.now();
    // The length of the stop is the subject of the test.
    await delay(share * timeoutMs);
    const untilMs = Date.now();
    server.resume();
    await expectUnharmed(cluster, fleet, untilMs + timeoutMs);
    return { stoodMs: untilMs - fromMs, untilMs, noticed: pausesOf(follower).length - known };
  };

  for (const share of [0.5, 0.9, 1.1]) {
    for (let round = 0; round < ROUNDS; round++) {
      const { stoodMs, noticed } = await standStill(share);
      console.log(`stood still for ${stoodMs} ms of ${timeoutMs} ms: none failed, ${noticed} pauses noticed`);
    }
  }
  expect(await deathsIn(cluster)).toEqual([]);

  const mortal = stack.use(await startHolder(cluster, "mortal", timeoutMs));
  await mortal.kill();
  using noise = new Noise();
  const { stoodMs, untilMs, noticed } = await standStill(2);
  const { at } = await failureOf(cluster, follower, mortal);
  const lateMs = Date.parse(at) - (untilMs + timeoutMs);
  console.log(
    `stood still for ${stoodMs} ms of ${timeoutMs} ms: none failed, ${noticed} pauses noticed, ` +
      `a death found a timeout after and ${lateMs} ms; ${noise}`,
  );
  expect(noticed).toBeGreaterThan(0);
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs, `${noise}`).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
  expect(await deathsIn(cluster)).toHaveLength(1);
});

/** Agents that are to survive, each with a task of its own. */
async function startFleet(
  cluster: ClusterClient,
  stack: AsyncDisposableStack,
  timeoutMs: number,
): Promise<AgentProcess[]> {
  const fleet = await Promise.all(
    Array.from({ length: FLEET }, (_, index) => startHolder(cluster, `alive-${index}`, timeoutMs)),
  );
  for (const agent of fleet) stack.use(agent);
  return fleet;
}

/** An agent that sends four heartbeats per timeout, and holds a task that only it can do. */
async function startHolder(cluster: ClusterClient, id: string, timeoutMs: number): Promise<AgentProcess> {
  const agent = await AgentProcess.start(cluster, {
    id,
    capabilities: [id],
    heartbeatIntervalMs: timeoutMs / 4,
    heartbeatTimeoutMs: timeoutMs,
  });
  await cluster.ask("POST", "/tasks", { id: `task-of-${id}`, type: id });
  await agent.beatSince(0);
  return agent;
}

/** The server is killed, `meanwhile` happens, and the server restarts. */
async function beAway(server: Server, outageMs: number, meanwhile: () => Promise<void> = async () => {}) {
  const leftAtMs = Date.now();
  await server.kill();
  await meanwhile();
  // The length of the outage is the subject of the test.
  await delay(outageMs);
  const startedAtMs = Date.now();
  await server.restart();
  return { leftAtMs, startedAtMs, readyAtMs: Date.now() };
}

/**
 * Resolves when all agents have sent a heartbeat after `untilMs`; an agent declared failed before would get a
 * refusal.
 */
async function expectUnharmed(
  cluster: ClusterClient,
  fleet: readonly AgentProcess[],
  untilMs: number,
): Promise<void> {
  await Promise.all(fleet.map((agent) => agent.beatSince(untilMs)));
  for (const agent of fleet) {
    expect(agent.reports("answered")).toEqual([]);
    expect(agent.reports("registered")).toHaveLength(1);
    const { task } = await cluster.ask<{ task: Task }>("GET", `/tasks/task-of-${agent.id}`);
    expect(task).toMatchObject({ assigned_to: agent.id, attempt: 1 });
  }
}

async function failureOf(cluster: ClusterClient, follower: Follower, agent: AgentProcess): Promise<Failure> {
  const { event } = await follower.event("failure.recorded", ({ data }) => data.agent_id === agent.id);
  const { failure } = await cluster.ask<{ failure: Failure }>("GET", `/failures/${event.subject}`);
  expect(Date.parse(failure.at)).toBeGreaterThan(agent.lastBeatSentAtMs);
  return failure;
}

/** Without failures of tasks that no other agent can do. */
async function deathsIn(cluster: ClusterClient): Promise<Failure[]> {
  const failures = await cluster.all<Failure>("/failures");
  return failures.filter(({ failure_type }) => failure_type !== "no_suitable_agent");
}

const pausesOf = (follower: Follower) =>
  follower.arrivals.filter(({ event }) => event.type === "coordinator.paused");
