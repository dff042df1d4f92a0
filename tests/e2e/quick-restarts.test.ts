/**
 * Agents whose process is started again at once under the same id, as systemd and StatefulSets do: after a crash, and
 * after an orderly stop. For each client. LONG=1 restarts each client twenty times in good order, not five.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { IncidentPage } from "../../src/contract/incident.ts";
import type { Task } from "../../src/contract/task.ts";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { ClientAgentProcess } from "../support/client-agent-process.ts";
import { BASH, type Language, missingFor, PYTHON } from "../support/example-agents.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { commandEnvironment } from "../support/server.ts";

const ORDERLY_RESTARTS = process.env.LONG ? 20 : 5;

/** As configured by default; the first death takes 3 more before the task has failed. */
const REASSIGNMENTS = 3;

/** Several lifetimes of an agent in one test. */
const TEST_LIMIT_MS = 120_000;

const api = apiOfThisFile();
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-restarts-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A running process of an agent. */
type AgentProcess = AsyncDisposable & {
  kill(): Promise<void>;
  /** Sends SIGTERM. @returns the exit code, null if the process ended itself by that signal afterwards */
  terminate(): Promise<number | null>;
};

type Client = {
  name: string;
  /** Starts a process of the agent `a`, and resolves once it is registered. */
  start(cluster: CheckedCluster): Promise<AgentProcess>;
  /** A task that takes longer than a test, and one that ends soon. */
  endless: { type: string; data?: Task["data"] };
  brief: { type: string; data?: Task["data"] };
};

function typescript(transport: "socket" | "http"): Client {
  const type = "work";
  return {
    name: `the TypeScript client over ${transport}`,
    start: (cluster) =>
      ClientAgentProcess.start({
        url: api.server.url,
        token: api.server.adminToken,
        cluster: cluster.id,
        id: "a",
        transport,
        workMs: 100_000,
      }),
    endless: { type },
    brief: { type: "brief" },
  };
}

function example(language: Language): Client {
  const step = (seconds: number) => ({ type: "take_steps", data: { steps: 1, step_seconds: seconds } });
  return {
    name: `examples/${language.file}`,
    start: async (cluster) => {
      const group = new ProcessGroup(language.interpreter, [join("examples", language.file)], {
        env: commandEnvironment({
          TMPDIR: folder,
          PYTHONDONTWRITEBYTECODE: "1",
          URL: api.server.url,
          TOKEN: "",
          ADMIN_TOKEN: api.server.adminToken,
          CLUSTER: cluster.id,
          AGENT_ID: "a",
        }),
      });
      await group.said(/registered, incarnation \d+/);
      return {
        kill: () => group[Symbol.asyncDispose](),
        terminate: async () => {
          group.signal("SIGTERM");
          await group.said(/unregistered/);
          return group.gone();
        },
        [Symbol.asyncDispose]: () => group[Symbol.asyncDispose](),
      };
    },
    endless: step(100),
    brief: step(0.2),
  };
}

const CLIENTS: readonly Client[] = [
  typescript("socket"),
  typescript("http"),
  ...[PYTHON, BASH].filter((language) => missingFor(language).length === 0).map(example),
];

/** The task, once it runs or has failed. */
const runningOrFailed = (cluster: CheckedCluster, attempt: number) =>
  cluster.taskOnce(
    "t",
    (task) => (task.status === "running" && task.attempt === attempt) || task.status === "failed",
    `attempt ${attempt}`,
  );

describe.each(CLIENTS)("$name", ({ start, endless, brief }) => {
  it("that a task kills each time loses the task after max_reassignment_attempts, and each death is on record", {
    timeout: TEST_LIMIT_MS,
  }, async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t", ...endless });
    let deaths = 0;
    for (let attempt = 1; ; attempt++) {
      await using agent = await start(cluster);
      const { status } = await runningOrFailed(cluster, attempt);
      if (status === "failed") break;
      await agent.kill();
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
  });

  it("that is stopped by SIGTERM and started again leaves no record and loses no task", {
    timeout: TEST_LIMIT_MS,
  }, async () => {
    const cluster = api.cluster();
    for (let time = 0; time < ORDERLY_RESTARTS; time++) {
      await using agent = await start(cluster);
      await cluster.submit({ id: `t${time}`, ...brief });
      expect([0, null]).toContain(await agent.terminate());
    }
    await using last = await start(cluster);
    for (let time = 0; time < ORDERLY_RESTARTS; time++) {
      await cluster.taskOnce(`t${time}`, ({ status }) => status === "completed", `task ${time}`);
    }
    expect((await cluster.failures()).items.filter(({ agent_id }) => agent_id !== null)).toEqual([]);
    expect([0, null]).toContain(await last.terminate());
  });
});
