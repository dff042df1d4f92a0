/**
 * Processes that are started again at once under the same id, as systemd and StatefulSets do, of every client: after a
 * crash, and after a SIGTERM that comes right after the registration. LONG=1: twenty of the latter, not five.
 */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { IncidentPage } from "../../src/contract/incident.ts";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { type AgentKind, agentsFolder, EVERY_AGENT, startAgent } from "../support/every-agent.ts";

/** As configured by default: the fourth death takes the task from its agent for good. */
const REASSIGNMENTS = 3;
const ORDERLY_RESTARTS = process.env.LONG ? 20 : 5;
/** Several lifetimes of an agent in one test. */
const TEST_LIMIT_MS = 120_000;

const api = apiOfThisFile();
const folder = agentsFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A registered process of the agent `a`, whose timeout is long enough that only a restart is noticed. */
async function start(kind: AgentKind, { id: cluster }: CheckedCluster) {
  const agent = startAgent(kind, { server: api.server, cluster, id: "a", interval: 10, timeout: 30 }, folder);
  await agent.said(/registered, incarnation \d+/);
  return agent;
}

const submit = (cluster: CheckedCluster, id: string, seconds: number) =>
  cluster.submit({ id, type: "take_steps", data: { steps: 1, step_seconds: seconds } });

describe.each(EVERY_AGENT)("$name", (kind) => {
  it.skipIf(kind.missing.length > 0)(
    "that a task kills each time loses the task after max_reassignment_attempts, and each death is on record",
    async () => {
      const cluster = api.cluster();
      await submit(cluster, "t", 100);
      let deaths = 0;
      for (let attempt = 1; ; attempt++) {
        await using agent = await start(kind, cluster);
        const { status } = await cluster.taskOnce(
          "t",
          (task) => task.status === "failed" || (task.status === "running" && task.attempt === attempt),
          `attempt ${attempt}`,
        );
        if (status === "failed") break;
        agent.signalAll("SIGKILL");
        await agent.gone();
        deaths += 1;
      }

      expect(deaths).toBe(REASSIGNMENTS + 1);
      expect(await cluster.task("t")).toMatchObject({ status: "failed", reassignment_count: REASSIGNMENTS });
      const failures = (await cluster.failures()).items.filter(({ agent_id }) => agent_id === "a");
      expect(failures.map(({ failure_type }) => failure_type)).toEqual(
        Array.from({ length: deaths }, () => "agent_restarted"),
      );
      expect(new Set(failures.map(({ details }) => details.incarnation)).size).toBe(deaths);
      const { reliability, failure_count } = await cluster.agent("a");
      expect(failure_count).toBe(deaths);
      expect(reliability).toBeLessThan(0.5);
      const incidents = (await cluster.get("/incidents")).as(200, IncidentPage).items;
      expect(incidents.map(({ agents_flapping }) => agents_flapping)).toEqual([1]);
    },
    TEST_LIMIT_MS,
  );

  it.skipIf(kind.missing.length > 0)(
    "that is terminated right after its registration leaves no record, and its task goes to the next process",
    async () => {
      const cluster = api.cluster();
      const ids = Array.from({ length: ORDERLY_RESTARTS }, (_, at) => `t${at}`);
      for (const id of ids) {
        await using agent = await start(kind, cluster);
        await submit(cluster, id, 0.2);
        agent.signal("SIGTERM");
        await agent.gone();
      }
      await using last = await start(kind, cluster);
      for (const id of ids) {
        await cluster.taskOnce(id, ({ status }) => status === "completed", `${id} to be completed`);
      }
      const failures = (await cluster.failures()).items.map(({ failure_type }) => failure_type);
      expect(failures.filter((type) => type !== "no_suitable_agent")).toEqual([]);
      last.signal("SIGTERM");
      await last.gone();
    },
    TEST_LIMIT_MS,
  );
});
