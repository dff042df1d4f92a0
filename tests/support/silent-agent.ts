/**
 * How a test knows that a timeout is over for an agent that has to outlive it: a second agent with the same timeout
 * registers later in the same group and stays silent. The group declares failed, together, all agents whose deadline
 * has passed. So an agent that has given no sign of life since then fails at the latest with the silent one.
 */
import type { ClusterClient, Follower } from "./cluster-client.ts";
import { until } from "./until.ts";

export type Timing = { heartbeat_interval_seconds: number; heartbeat_timeout_seconds: number };

export const SILENT_AGENT = "silent";

/** Registers a silent agent. Resolves when the coordinator has declared it failed. */
export async function silentAgentFails(cluster: ClusterClient, timing: Timing): Promise<void> {
  await using follower = cluster.follow();
  await register(cluster, SILENT_AGENT, timing);
  await failureOf(follower, SILENT_AGENT);
}

/** Registers a silent agent, and acts again and again until the coordinator has declared it failed. */
export async function actUntilSilentAgentFails(
  cluster: ClusterClient,
  timing: Timing,
  act: () => Promise<unknown>,
  id: string = SILENT_AGENT,
): Promise<void> {
  await using follower = cluster.follow();
  await register(cluster, id, timing);
  let hasFailed = false;
  const failed = failureOf(follower, id).then(() => {
    hasFailed = true;
  });
  await until(async () => {
    await act();
    return hasFailed;
  }, `${id} to be declared failed`);
  await failed;
}

function register(cluster: ClusterClient, id: string, timing: Timing): Promise<unknown> {
  const registration = { type: "silent-agent", capabilities: [], ...timing };
  return cluster.ask("PUT", `/groups/default/agents/${id}`, registration);
}

async function failureOf(follower: Follower, id: string): Promise<void> {
  await follower.event("agent.inactive", ({ subject }) => subject === id);
}
