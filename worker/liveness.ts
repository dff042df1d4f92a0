/** What the groups know of agents, added to what the coordinator does: when each was last heard of, and its load. */
import type { Agent } from "../src/contract/agent.ts";
import type { Env } from "../src/objects/env.ts";
import { groupOf } from "./object-stubs.ts";

export async function withLiveness(env: Env, cluster: string, agent: Agent): Promise<Agent> {
  const [shown] = await withLivenessAll(env, cluster, [agent]);
  return shown ?? agent;
}

export async function withLivenessAll(env: Env, cluster: string, agents: readonly Agent[]): Promise<Agent[]> {
  const idsByGroup = Map.groupBy(agents, (agent) => agent.group);
  const known = await Promise.all(
    [...idsByGroup].map(([group, members]) =>
      groupOf(env, cluster, group).liveness(members.map((agent) => agent.id)),
    ),
  );
  const byId = new Map(known.flat().map((liveness) => [liveness.agent_id, liveness]));
  return agents.map((agent) => {
    const liveness = byId.get(agent.id);
    if (liveness === undefined || liveness.incarnation !== agent.incarnation) return agent;
    return {
      ...agent,
      last_heartbeat_at: liveness.last_heartbeat_at,
      deadline_at: liveness.deadline_at,
      load: liveness.load ?? agent.load,
    };
  });
}
