/**
 * A server that is killed with SIGKILL and restarted while connected agents work: all of them reconnect, none
 * is declared failed, and every task is done once. LONG=1: two hundred agents, three restarts.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { expectNoAgentLeft } from "../support/agent-process.ts";
import type { ClientAgentsSaid, ClientAgentsSettings, Labour } from "../support/client-agents.ts";
import { chanceFrom, figures, Noise } from "../support/measure.ts";
import { Program } from "../support/program.ts";
import { startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const { AGENTS, PROCESSES, RESTARTS } = process.env.LONG
  ? { AGENTS: 200, PROCESSES: 4, RESTARTS: 3 }
  : { AGENTS: 40, PROCESSES: 2, RESTARTS: 1 };
/** Submitted before each restart: some run, some wait, and some are submitted during the kill. */
const TASKS = AGENTS * 5;
const TASKS_IN_THE_ACT = AGENTS;
const SLOTS = 2;
const SHORTEST_WORK_MS = 300;
const LONGEST_WORK_MS = 3000;
/** Half of the default timeout: an agent that is back by then was never close to a failure. */
const BACK_LIMIT_MS = 15_000;
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);

afterEach(expectNoAgentLeft);

it(`${AGENTS} agents that work outlive ${RESTARTS} kill(s) of the server: all are back, none failed, every task done once`, {
  timeout: 60_000 + RESTARTS * 60_000,
}, async () => {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const access = { url: server.url, token: server.adminToken, cluster: "restart", retries: 20 };
  const coordinator = new DistributedCoordinator(access);
  const ids = Array.from({ length: AGENTS }, (_, index) => `agent-${index}`);
  const share = AGENTS / PROCESSES;
  const programs = Array.from({ length: PROCESSES }, (_, of) => {
    const some = ids.slice(of * share, (of + 1) * share);
    const settings: ClientAgentsSettings = { ...access, ids: some, maxConcurrentTasks: SLOTS };
    return stack.use(new Program<ClientAgentsSaid>("client-agents.ts", settings));
  });
  const said = () => programs.flatMap((program) => program.said.items);
  /** The first connection of each agent since then, one entry per agent. */
  const connectedSince = (sinceMs: number) => {
    const first = new Map<string, number>();
    for (const one of said()) {
      if (one.what !== "connected" || one.transport !== "socket" || one.atMs < sinceMs) continue;
      if (!first.has(one.agent)) first.set(one.agent, one.atMs);
    }
    return [...first.values()];
  };
  const isCutOffSince = (sinceMs: number) => {
    const lost = said().filter(({ what, atMs }) => what === "disconnected" && atMs >= sinceMs);
    return new Set(lost.map(({ agent }) => agent)).size === AGENTS;
  };
  const hasWorkedSince = (sinceMs: number) =>
    said().some(({ what, atMs }) => what === "ended" && atMs >= sinceMs);
  const allConnectedSince = (sinceMs: number) =>
    until(async () => connectedSince(sinceMs).length === AGENTS, "all to be connected", 60_000);
  await allConnectedSince(0);

  using noise = new Noise();
  const chance = chanceFrom(SEED);
  const tasksOf = (round: number, name: string, count: number) =>
    Array.from({ length: count }, (_, index) => {
      const workMs = Math.round(SHORTEST_WORK_MS + chance() * (LONGEST_WORK_MS - SHORTEST_WORK_MS));
      return { id: `${name}-${round}-${index}`, type: "work", data: { workMs } satisfies Labour };
    });
  const submitted: string[] = [];
  const submit = async (tasks: ReturnType<typeof tasksOf>) => {
    submitted.push(...tasks.map(({ id }) => id));
    for (const { error } of await coordinator.tasks.submitAll(tasks)) expect(error).toBeUndefined();
  };

  for (let round = 0; round < RESTARTS; round++) {
    await submit(tasksOf(round, "before", TASKS));
    await until(
      async () => said().filter(({ what }) => what === "reported").length >= round * 6 * AGENTS + AGENTS,
      "the work to be well under way",
    );
    // One call each, so that some are answered, some are not, and some never arrive.
    const inTheAct = tasksOf(round, "in-the-act", TASKS_IN_THE_ACT).map((task) => submit([task]));
    // The kill comes at a random moment of these calls.
    await delay(chance() * 100);
    const killedAtMs = Date.now();
    await server.kill();
    await until(
      () => isCutOffSince(killedAtMs) && hasWorkedSince(killedAtMs),
      "all to miss the server, and one to end a task meanwhile",
    );
    const runningAtReturn = runningOf(said()).length;
    await server.restart();
    const readyAtMs = Date.now();
    await allConnectedSince(killedAtMs);
    const backMs = connectedSince(killedAtMs).map((atMs) => atMs - readyAtMs);
    await Promise.all(inTheAct);
    await until(
      async () => (await coordinator.getClusterStatus()).tasks.completed === submitted.length,
      "all tasks to be completed",
      60_000,
    );
    console.log(
      `seed ${SEED}; away for ${readyAtMs - killedAtMs} ms, ${runningAtReturn} tasks running on ${AGENTS} agents; ` +
        `${figures("on a socket again after it was ready and", backMs)}; ` +
        `all ${submitted.length} tasks so far completed ${Date.now() - readyAtMs} ms after it was; ${noise}`,
    );
    expect(Math.max(...backMs), `${noise}`).toBeLessThanOrEqual(BACK_LIMIT_MS);
  }

  expect(await coordinator.getFailureHistory()).toEqual([]);
  const { tasks } = await coordinator.getClusterStatus();
  expect(tasks).toMatchObject({
    completed: submitted.length,
    failed: 0,
    pending: 0,
    running: 0,
    assigned: 0,
  });
  // By the reports of the agents: which attempts began, ended and were reported.
  await until(
    async () => said().filter(({ what }) => what === "reported").length >= submitted.length,
    "the last word of the agents",
  );
  const once = submitted.map((id) => `${id}/1`).sort();
  for (const what of ["began", "ended", "reported"] as const) expect(deeds(said(), what)).toEqual(once);
  for (const what of ["revoked", "lateResult"] as const) expect(deeds(said(), what)).toEqual([]);
  expect(said().filter(({ what }) => what === "error" || what === "outOfTouch")).toEqual([]);
  expect(
    said().filter(({ what }) => what === "registered"),
    "no agent registered again",
  ).toHaveLength(AGENTS);
  const placements = await Promise.all(submitted.slice(0, 50).map((id) => coordinator.tasks.get(id)));
  for (const task of placements) expect(task).toMatchObject({ status: "completed", attempt: 1 });
});

/** Tasks with their attempts, each as often as it happened. */
function deeds(all: readonly ClientAgentsSaid[], what: ClientAgentsSaid["what"]): string[] {
  return all
    .flatMap((one) => (one.what === what && "task" in one ? [`${one.task}/${one.attempt}`] : []))
    .sort();
}

function runningOf(all: readonly ClientAgentsSaid[]): string[] {
  const ended = new Set(deeds(all, "ended"));
  return deeds(all, "began").filter((deed) => !ended.has(deed));
}
