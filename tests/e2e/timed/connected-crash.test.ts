/**
 * The time from `kill -9` of a connected agent's process until other agents get the frames that assign them its
 * tasks. LONG=1 kills fifty with no grace and fifty with the default one, within the promised bounds.
 */
import { afterEach, expect, it } from "vitest";
import { BEARER_SUBPROTOCOL, SUBPROTOCOL } from "../../../src/contract/socket.ts";
import { expectNoAgentLeft } from "../../support/agent-process.ts";
import { ClusterClient } from "../../support/cluster-client.ts";
import { figures, Noise } from "../../support/measure.ts";
import { Program } from "../../support/program.ts";
import { startServer } from "../../support/server.ts";
import type { SocketAgentsSaid, SocketAgentsSettings, ToStart } from "../../support/socket-agents.ts";
import { Stream } from "../../support/stream.ts";

const { KILLS, GRACE_SECONDS, MEDIAN_LIMIT_MS, LATEST_LIMIT_MS } = process.env.LONG
  ? { KILLS: 50, GRACE_SECONDS: 5, MEDIAN_LIMIT_MS: 100, LATEST_LIMIT_MS: 500 }
  : { KILLS: 10, GRACE_SECONDS: 1, MEDIAN_LIMIT_MS: 250, LATEST_LIMIT_MS: 1000 };

/** More than the victims: a loss of half of a cluster would be treated as a fault of the network. */
const HEIRS = KILLS + 10;
const BEAT_INTERVAL_MS = 5000;
/** Processes of victims, since each takes time to start. */
const STARTED_AT_ONCE = 10;
/** Tasks of each victim: those that it started, and one that it did not. */
const RUNNING = 2;

afterEach(expectNoAgentLeft);

/** A victim, with its started tasks and the unstarted one. */
type Victim = { program: Program<SocketAgentsSaid>; running: string[]; unstarted: string };
type Registered = { id: string; url: string; protocols: string[] };
/** A task that was assigned to one of the heirs. */
type Arrival = { taskId: string; attempt: number; atMs: number };
/** From the kill to the last of its tasks with the heirs. */
type Moved = { runningFirstMs: number; runningLastMs: number; unstartedMs: number };

it.each([0, GRACE_SECONDS])(
  `after a grace of %d s, never before it, other agents have the tasks of a killed process, ${KILLS} times`,
  { timeout: 120_000 },
  async (graceSeconds) => {
    await using server = await startServer();
    await using stack = new AsyncDisposableStack();
    const cluster = new ClusterClient(server, "crash");
    await cluster.ask("PATCH", "/config", { heartbeat_config: { reconnect_grace_seconds: graceSeconds } });
    const victims: Registered[] = [];
    for (let index = 0; index < KILLS; index++) victims.push(await victimWithTasks(cluster, index));
    const arrivals = new Stream<Arrival>();
    for (let index = 0; index < HEIRS; index++) stack.use(await heir(cluster, index, arrivals));

    using noise = new Noise();
    const measured: Promise<Moved>[] = [];
    for (let from = 0; from < KILLS; from += STARTED_AT_ONCE) {
      const some = victims.slice(from, from + STARTED_AT_ONCE);
      for (const victim of await Promise.all(some.map((registered) => start(registered, stack)))) {
        const { unstartedMoved, moved } = killAndMeasure(victim, arrivals);
        measured.push(moved);
        // One after the other: the whole test, where that does not take long.
        await (graceSeconds === 0 ? moved : unstartedMoved);
      }
    }
    const all = await Promise.all(measured);

    const graceMs = graceSeconds * 1000;
    const running = all.map(({ runningLastMs }) => runningLastMs - graceMs);
    const earliest = Math.min(...all.map(({ runningFirstMs }) => runningFirstMs - graceMs));
    const unstarted = all.map(({ unstartedMs }) => unstartedMs);
    console.log(
      `killed, grace ${graceSeconds} s: ${figures("running tasks with others after kill + grace and", running)}; ` +
        `the earliest ${earliest.toFixed(0)} ms; ` +
        `${figures("a task not started with others after the kill and", unstarted)}; ${noise}`,
    );
    expect(earliest, "before the grace was over").toBeGreaterThanOrEqual(0);
    for (const values of [running, unstarted]) {
      expect(medianOf(values), `${noise}`).toBeLessThanOrEqual(MEDIAN_LIMIT_MS);
      // Of fifty the 99th percentile is the last.
      expect(Math.max(...values), `${noise}`).toBeLessThanOrEqual(LATEST_LIMIT_MS);
    }
    const { items } = await cluster.ask<{ items: unknown[] }>("GET", "/failures?limit=500");
    expect(items).toHaveLength(KILLS);
    for (const failure of items) expect(failure).toMatchObject({ failure_type: "connection_lost" });
  },
);

const typeOf = (index: number) => `work-${index}`;
const taskOf = (agentId: string, index: number) => `${agentId}-task-${index}`;

async function register(cluster: ClusterClient, id: string, wishes: object): Promise<Registered> {
  const { websocket_url, token } = await cluster.ask<{ websocket_url: string; token: string }>(
    "PUT",
    `/groups/default/agents/${id}`,
    { type: "test-agent", max_concurrent_tasks: 1000, ...wishes },
  );
  return { id, url: websocket_url, protocols: [SUBPROTOCOL, `${BEARER_SUBPROTOCOL}${token}`] };
}

/** The only agent with its capability so far. */
async function victimWithTasks(cluster: ClusterClient, index: number): Promise<Registered> {
  const victim = await register(cluster, `victim-${index}`, {
    capabilities: [typeOf(index)],
    heartbeat_interval_seconds: 600,
    heartbeat_timeout_seconds: 3600,
  });
  const tasks = Array.from({ length: RUNNING + 1 }, (_, number) => ({
    id: taskOf(victim.id, number),
    type: typeOf(index),
    data: { isToStart: number < RUNNING } satisfies ToStart,
  }));
  await cluster.ask("POST", "/tasks/batch", { tasks });
  return victim;
}

/** Has the capabilities of all victims. */
async function heir(cluster: ClusterClient, index: number, arrivals: Stream<Arrival>): Promise<Disposable> {
  const { url, protocols } = await register(cluster, `heir-${index}`, {
    capabilities: Array.from({ length: KILLS }, (_, of) => typeOf(of)),
  });
  const socket = new WebSocket(url, protocols);
  socket.onmessage = ({ data }) => {
    const atMs = performance.now();
    if (data === "pong") return;
    const frame = JSON.parse(String(data)) as { type: string; task: { id: string; attempt: number } };
    if (frame.type !== "task_assigned") return;
    arrivals.add({ taskId: frame.task.id, attempt: frame.task.attempt, atMs });
  };
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  socket.send("ping");
  const beats = setInterval(() => socket.send("ping"), BEAT_INTERVAL_MS);
  return {
    [Symbol.dispose]: () => {
      clearInterval(beats);
      socket.close();
    },
  };
}

/** Resolves when the agent is connected and has started its tasks. */
async function start(victim: Registered, stack: AsyncDisposableStack): Promise<Victim> {
  const settings: SocketAgentsSettings = { agents: [victim], beatIntervalMs: BEAT_INTERVAL_MS };
  const program = stack.use(new Program<SocketAgentsSaid>("socket-agents.ts", settings));
  const running = Array.from({ length: RUNNING }, (_, number) => taskOf(victim.id, number));
  for (const task of running) {
    await program.hear((said) => said.what === "started" && said.taskId === task);
  }
  return { program, running, unstarted: taskOf(victim.id, RUNNING) };
}

/** Kills the process. The results come when its tasks are with others. */
function killAndMeasure({ program, running, unstarted }: Victim, arrivals: Stream<Arrival>) {
  const killedAtMs = performance.now();
  program.signal("SIGKILL");
  const afterKill = async (task: string) => {
    const { attempt, atMs } = await arrivals.first(({ taskId }) => taskId === task);
    expect(attempt).toBe(2);
    return atMs - killedAtMs;
  };
  const unstartedMoved = afterKill(unstarted);
  const moved = Promise.all([unstartedMoved, ...running.map(afterKill)]).then(
    ([unstartedMs, ...times]): Moved => ({
      runningFirstMs: Math.min(...times),
      runningLastMs: Math.max(...times),
      unstartedMs,
    }),
  );
  return { unstartedMoved, moved };
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil((sorted.length - 1) / 2)] ?? Number.NaN;
}
