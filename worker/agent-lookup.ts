/** The agent that a path names, as its cluster knows it. */
import type { Context } from "hono";
import type { Agent } from "../src/contract/agent.ts";
import type { Vars } from "./app-types.ts";
import { Refused, unwrap } from "./errors.ts";
import { coordinatorOf } from "./object-stubs.ts";

/** Refuses an agent that the cluster does not know, or that is in another group. */
export async function agentIn(
  c: Context<Vars>,
  cluster: string,
  group: string,
  agentId: string,
): Promise<Agent> {
  const known = unwrap(await coordinatorOf(c.env, cluster).agent(agentId));
  if (known.group === group) return known;
  throw new Refused({
    code: "not_found",
    detail: "the agent is in another group",
    evidence: { group: known.group },
  });
}
