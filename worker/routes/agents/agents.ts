/** Agents: registration, reading and leaving. */
import * as z from "zod";
import {
  AgentFilter,
  AgentPage,
  Agent as AgentSchema,
  Registration,
  RegistrationAnswer,
} from "../../../src/contract/agent.ts";
import { Id, PageQuery } from "../../../src/contract/common.ts";
import { mayActFor } from "../../../src/domain/principal.ts";
import { agentInGroup, withLiveness, withLivenessAll } from "../../agents.ts";
import type { Context } from "../../context.ts";
import { Refused, unwrap } from "../../errors.ts";
import { coordinatorOf, groupOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { onlyForItself } from "../../route-roles.ts";
import { answer, body, CLUSTER, GROUP, page, params } from "../../route-schemas.ts";
import { mintAgentToken } from "../../tokens.ts";

const AGENT = `${GROUP}/agents/{agent}` as const;
const tags = ["agents"];

export const agentRoutes: readonly Route[] = [
  route(
    {
      operationId: "registerAgent",
      method: "put",
      path: AGENT,
      summary: "Register an agent",
      description:
        "Registers the agent, or registers it again. Each registration starts a new incarnation of the agent; the token in the answer is valid for that incarnation only.",
      tags,
      request: { params: params("cluster", "group", "agent"), body: body(Registration) },
      responses: {
        200: answer(
          "The agent was registered before. A new incarnation of it has begun.",
          RegistrationAnswer,
        ),
        201: answer("The agent is registered.", RegistrationAnswer),
      },
    },
    async (c) => {
      const { cluster, group, agent: agentId } = c.req.valid("param");
      const principal = c.get("principal");
      if (!mayActFor(principal, agentId)) return refuseOtherAgent(c, cluster, agentId);
      const outcome = await coordinatorOf(c.env, cluster).register(
        { group, agentId },
        c.req.valid("json"),
        principal,
      );
      if (!outcome.ok && outcome.problem.code === "agent_live") {
        const [known] = await groupOf(c.env, cluster, group).liveness([agentId]);
        const evidence = { ...outcome.problem.evidence, deadline_at: known?.deadline_at ?? null };
        throw new Refused({ ...outcome.problem, evidence });
      }
      const { agent, isNew } = unwrap(outcome);
      const token = await mintAgentToken(
        { cluster, group, agentId, incarnation: agent.incarnation },
        c.env.SIGNING_KEY ?? "",
      );
      return c.json(
        {
          agent,
          incarnation: agent.incarnation,
          token,
          heartbeat_interval_seconds: agent.heartbeat_interval_seconds,
          heartbeat_timeout_seconds: agent.heartbeat_timeout_seconds,
          websocket_url: websocketUrl(c.req.url, c.req.header("X-Forwarded-Proto")),
        },
        isNew ? 201 : 200,
      );
    },
  ),

  route(
    {
      operationId: "unregisterAgent",
      method: "delete",
      path: AGENT,
      summary: "Unregister an agent",
      description:
        "Ends the agent without a failure: its tasks are reassigned and its locks are released. An operator may also remove an agent that is inactive.",
      tags,
      request: { params: params("cluster", "group", "agent") },
      responses: { 204: { description: "The agent is unregistered." } },
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      const principal = c.get("principal");
      const known = await agentInGroup(c, { cluster, group, agent });
      if (principal.role === "admin" && known.status === "inactive") {
        unwrap(await coordinatorOf(c.env, cluster).forget(agent));
      } else {
        unwrap(await groupOf(c.env, cluster, group).unregister(agent, principal));
      }
      return c.body(null, 204);
    },
  ),

  route(
    {
      operationId: "listAgents",
      method: "get",
      path: `${CLUSTER}/agents`,
      summary: "List the agents of a cluster",
      description: "Agents in the order of their ids, with their liveness.",
      tags,
      request: {
        params: params("cluster"),
        query: PageQuery.extend({ ...AgentFilter.shape, cursor: Id.optional() }),
      },
      responses: { 200: answer("A page of agents.", AgentPage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { filter, limit, cursor } = page(c.req.valid("query"));
      const found = await coordinatorOf(c.env, cluster).agents(filter, limit, cursor);
      return c.json({ ...found, items: await withLivenessAll(c.env, cluster, found.items) }, 200);
    },
  ),

  route(
    {
      operationId: "getAgent",
      method: "get",
      path: `${CLUSTER}/agents/{agent}`,
      summary: "Read an agent",
      tags,
      request: { params: params("cluster", "agent") },
      responses: { 200: answer("The agent.", z.object({ agent: AgentSchema })) },
    },
    async (c) => {
      const { cluster, agent } = c.req.valid("param");
      const known = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
      return c.json({ agent: await withLiveness(c.env, cluster, known) }, 200);
    },
  ),
];

/** The token of an agent registers no other agent. While the other one is live, the answer says until when. */
async function refuseOtherAgent(c: Context, cluster: string, agentId: string): Promise<never> {
  const known = await coordinatorOf(c.env, cluster).agent(agentId);
  if (!known.ok || known.value.status === "inactive") throw new Refused(onlyForItself);
  const { deadline_at } = await withLiveness(c.env, cluster, known.value);
  throw new Refused({
    code: "agent_live",
    detail: "the agent is live, and this token belongs to another agent",
    evidence: { deadline_at },
  });
}

/** @param forwardedProto the scheme that the client used, as a proxy that ends TLS reports it */
function websocketUrl(requestUrl: string, forwardedProto: string | undefined): string {
  const url = new URL(requestUrl);
  const isSecure =
    url.protocol === "https:" || forwardedProto?.split(",")[0]?.trim().toLowerCase() === "https";
  url.protocol = isSecure ? "wss:" : "ws:";
  url.search = "";
  return `${url}/connect`;
}
