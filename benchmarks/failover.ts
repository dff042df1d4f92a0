/**
 * How long tasks are without a live agent, beyond the time-out that was asked for: an agent stops beating, and the
 * clock runs from its deadline until the coordinator has told that the last of its tasks has a new one.
 */
import { setTimeout as delay } from "node:timers/promises";
import { registerIdleAgent } from "../tests/support/agent-process.ts";
import { Cluster } from "../tests/support/measure.ts";
import { type Server, startServer } from "../tests/support/server.ts";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";

const TASK_COUNTS = [1, 100, 1000] as const;
const ROUNDS = 3;
const HEIRS = 50;
/** Room for half as much again as there is. */
const SLOTS = 30;
/** As short as the setting up of a round allows. */
const TIMEOUT_SECONDS = 1;
/** Longer than this by far is a failure of the benchmark, not a figure. */
const LIMIT_MS = 15_000;

export const failover: Benchmark = {
  name: "failover",
  summary: "time beyond the heartbeat timeout until a dead agent's tasks have moved",
  measure,
};

async function measure(): Promise<Figure[]> {
  await using server = await startServer();
  const lateMs = new Map<number, number[]>(TASK_COUNTS.map((count) => [count, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [count, values] of lateMs) {
      const late = await msBeyondDeadline(server, `round-${round}-of-${count}`, count);
      // The first round warms up.
      if (round > 0) values.push(late);
    }
  }
  const [one] = TASK_COUNTS;
  return TASK_COUNTS.map((count) =>
    figure({
      what: `${count.toLocaleString("en-US")} ${count === 1 ? "task" : "tasks"} moved`,
      unit: "ms",
      values: lateMs.get(count) ?? [],
      baseline: { what: `${one} task`, values: lateMs.get(one) ?? [] },
    }),
  );
}

/** In a cluster of its own. Both clocks are this machine's. */
async function msBeyondDeadline(server: Server, name: string, taskCount: number): Promise<number> {
  const cluster = new Cluster(server, name);
  await using follower = cluster.follow();
  const victim = "/groups/default/agents/victim";
  const { token } = await cluster.ask<{ token: string }>("PUT", victim, {
    type: "benchmark",
    capabilities: ["work"],
    max_concurrent_tasks: taskCount,
    heartbeat_interval_seconds: TIMEOUT_SECONDS / 4,
    heartbeat_timeout_seconds: TIMEOUT_SECONDS,
  });
  const beat = () => cluster.ask<{ deadline_at: string }>("POST", `${victim}/heartbeat`, {}, { token });
  let lastBeat = beat();
  const beating = setInterval(
    () => {
      lastBeat = beat();
    },
    (TIMEOUT_SECONDS * 1000) / 4,
  );
  try {
    const tasks = Array.from({ length: taskCount }, (_, index) => ({ id: `task-${index}`, type: "work" }));
    await cluster.ask("POST", "/tasks/batch", { tasks });
    await Promise.all(
      Array.from({ length: HEIRS }, (_, heir) =>
        registerIdleAgent(cluster, `heir-${heir}`, { max_concurrent_tasks: SLOTS }),
      ),
    );
  } finally {
    clearInterval(beating);
  }
  // One that came after the very last would move the deadline.
  await lastBeat;
  const { deadline_at } = await beat();
  const moved = await Promise.race([
    follower.event("failure.failed_over"),
    delay(LIMIT_MS, null, { ref: false }),
  ]);
  if (moved?.event.data.tasks_reassigned !== taskCount)
    throw new Error(`${name}: not all tasks were moved in time`);
  return moved.arrivedAtMs - Date.parse(deadline_at);
}
