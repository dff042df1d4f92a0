/**
 * How long tasks have no live agent, beyond the configured timeout: an agent stops sending heartbeats, and the
 * time counts from its deadline until the coordinator reports that the last of its tasks has moved.
 */
import { ClusterClient } from "../tests/support/cluster-client.ts";
import { startServer } from "../tests/support/server.ts";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";
import { msBeyondDeadline } from "./failover-delay.ts";

const TASK_COUNTS = [1, 100, 1000] as const;
const ROUNDS = 3;

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
      const late = await msBeyondDeadline(new ClusterClient(server, `round-${round}-of-${count}`), count);
      // The first round is a warm-up.
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
