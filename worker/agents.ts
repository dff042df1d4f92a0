/** Agents as the API shows them: what the coordinator knows, with the liveness that their groups know. */
import type { Agent } from "../src/contract/agent.ts";
import type { Env } from "../src/objects/env.ts";
import type { Context } from "./context.ts";
import { Refused, unwrap } from "./errors.ts";
import { coordinatorOf, groupOf } from "./object-stubs.ts";

/** The agent that a path names. @throws Refused if the cluster does not know it or has it in another group */
export async function agentInGroup(
  c: Context,
  { cluster, group, agent }: { cluster: string; group: string; agent: string },
): Promise<Agent> {
  const known = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
  if (known.group === group) return known;
  throw new Refused({
    code: "not_found",
    detail: `the agent is in the group ${known.group}; use that group in the path`,
    evidence: { group: known.group },
  });
}

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
