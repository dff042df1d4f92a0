/**
 * Processes with one agent id, of every client. Of two that live at the same time the later one works, and the other one
 * ends with an error that names it. One that is terminated and started again is no failure. LONG=1 lasts longer.
 */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { type AgentKind, agentsFolder, EVERY_AGENT, startAgent } from "../support/every-agent.ts";
import { until } from "../support/until.ts";

const IS_LONG = Boolean(process.env.LONG);
/** How long a supervisor starts the loser again and again. */
const FIGHT_MS = IS_LONG ? 60_000 : 5_000;
const RESTARTS = IS_LONG ? 20 : 2;
const TEST_LIMIT_MS = IS_LONG ? 300_000 : 120_000;
/** Until the loser has ended. */
const DECIDED_LIMIT_MS = 3000;

const api = apiOfThisFile();
const folder = agentsFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isDone = ({ status }: { status: string }) => status === "completed";

/** A process of the agent `a`, whose timeout is long enough for a busy machine. */
const launch = (kind: AgentKind, { id: cluster }: CheckedCluster) =>
  startAgent(kind, { server: api.server, cluster, id: "a", interval: 1, timeout: 10 }, folder);

async function start(kind: AgentKind, cluster: CheckedCluster) {
  const agent = launch(kind, cluster);
  await agent.said(/registered, incarnation \d+/);
  return agent;
}

const submit = (cluster: CheckedCluster, id: string, steps = 1) =>
  cluster.submit({ id, type: "take_steps", data: { steps, step_seconds: 0.2 } });

/** The one failure of the cluster, once both processes are known to live. */
async function duplicate(cluster: CheckedCluster) {
  const failure = await until(async () => {
    const [failure] = (await cluster.failures()).items;
    return failure?.failure_type === "duplicate_agent_id" && failure;
  }, "the duplicate to be recorded");
  expect((await cluster.failures()).items).toEqual([failure]);
  return failure;
}

describe.each(EVERY_AGENT)("two processes with one id: $name", (kind) => {
  it.skipIf(kind.missing.length > 0)(
    "the later one works, the other one ends and names it, and one failure is recorded",
    async () => {
      const cluster = api.cluster();
      await using first = await start(kind, cluster);
      await submit(cluster, "held", 20);
      await first.said(/works on held, attempt 1/);
      await using second = await start(kind, cluster);
      const registeredAtMs = performance.now();

      expect(await first.ended, first.output()).toBe(1);
      const endedAfterMs = performance.now() - registeredAtMs;
      console.log(`${kind.name}: the first process ended after ${endedAfterMs.toFixed(0)} ms`);
      expect(endedAfterMs).toBeLessThan(DECIDED_LIMIT_MS);
      expect(first.output()).toMatch(
        new RegExp(`another process, [\\w.-]+/${second.pid}/\\w+, has registered this agent id`),
      );

      await submit(cluster, "next");
      for (const id of ["held", "next"]) await cluster.taskOnce(id, isDone, `${id} to be completed`);
      expect(second.output()).toMatch(/finished next, attempt 1/);
      expect(await duplicate(cluster)).toMatchObject({ agent_id: "a" });
      second.signal("SIGTERM");
      await second.ended;
    },
    TEST_LIMIT_MS,
  );

  it.skipIf(kind.missing.length > 0)(
    "a supervisor that starts the loser again is refused each time, and tasks are completed meanwhile",
    async () => {
      const cluster = api.cluster();
      await using first = await start(kind, cluster);
      await using second = await start(kind, cluster);
      await first.ended;
      await duplicate(cluster);
      const { incarnation } = await cluster.agent("a");
      const untilMs = performance.now() + FIGHT_MS;
      let restarts = 0;
      for (; performance.now() < untilMs; restarts++) {
        await submit(cluster, `task-${restarts}`);
        await using loser = launch(kind, cluster);
        expect(await loser.ended).not.toBe(0);
        expect(loser.output()).toMatch(/another process holds this agent id/);
        expect(loser.output()).not.toMatch(/works on/);
        await cluster.taskOnce(`task-${restarts}`, isDone, "the task to be completed");
      }
      console.log(`${kind.name}: ${restarts} restarts were refused`);
      expect(restarts).toBeGreaterThan(2);
      expect((await cluster.agent("a")).incarnation).toBe(incarnation);
      await duplicate(cluster);
      second.signal("SIGTERM");
      await second.ended;
    },
    TEST_LIMIT_MS,
  );
});

describe.each(EVERY_AGENT)("orderly restarts: $name", (kind) => {
  it.skipIf(kind.missing.length > 0)(
    `${RESTARTS} processes, each terminated while it works, leave no failure and complete every task`,
    async () => {
      const cluster = api.cluster();
      const ids = Array.from({ length: RESTARTS }, (_, at) => `task-${at}`);
      for (const id of ids) {
        await using agent = await start(kind, cluster);
        await submit(cluster, id, 2);
        await agent.said(new RegExp(`works on ${id}, attempt 1`));
        agent.signal("SIGTERM");
        await agent.gone();
        expect(agent.output()).toMatch(new RegExp(`finished ${id}, attempt 1`));
        await cluster.taskOnce(id, isDone, `${id} to be completed`);
      }
      expect((await cluster.failures()).items).toEqual([]);
      expect((await cluster.agents()).items).toEqual([]);
      for (const id of ids)
        expect(await cluster.task(id)).toMatchObject({ attempt: 1, reassignment_count: 0 });
    },
    TEST_LIMIT_MS,
  );
});
