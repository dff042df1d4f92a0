/** The delay of one failover, shared by the benchmarks of failovers. */
import { setTimeout as delay } from "node:timers/promises";
import { registerIdleAgent } from "../tests/support/agent-process.ts";
import type { ClusterClient } from "../tests/support/cluster-client.ts";

const HEIRS = 50;
/** Free slots for one and a half times the tasks. */
const SLOTS = 30;
/** As short as the set-up of a round allows. */
const TIMEOUT_SECONDS = 1;
/** A failover that takes longer is an error of the benchmark, not a figure. */
const LIMIT_MS = 15_000;

/**
 * Milliseconds from the deadline of an agent without heartbeats until its last task has moved.
 * @param cluster unused but configured; both clocks are those of this machine
 */
export async function msBeyondDeadline(cluster: ClusterClient, taskCount: number): Promise<number> {
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
  // A heartbeat that arrived after the last one would move the deadline.
  await lastBeat;
  const { deadline_at } = await beat();
  const moved = await Promise.race([
    follower.event("failure.failed_over", ({ data }) => data.agent_id === "victim"),
    delay(LIMIT_MS, null, { ref: false }),
  ]);
  if (moved?.event.data.tasks_reassigned !== taskCount)
    throw new Error(`${cluster.name}: not all tasks were moved in time`);
  return moved.arrivedAtMs - Date.parse(deadline_at);
}
