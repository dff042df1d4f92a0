/** Draining an agent of its tasks without a failure, and giving it tasks again. */
import * as z from "zod";
import { Agent, DrainRequest } from "../../../src/contract/agent.ts";
import { agentInGroup, withLiveness } from "../../agents.ts";
import { unwrap } from "../../errors.ts";
import { coordinatorOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, GROUP, optionalBody, params } from "../../route-schemas.ts";

const AGENT = `${GROUP}/agents/{agent}` as const;
const tags = ["agents"];
const responses = { 200: answer("The agent after the change.", z.object({ agent: Agent })) };

export const drainRoutes: readonly Route[] = [
  route(
    {
      operationId: "drainAgent",
      method: "post",
      path: `${AGENT}/drain`,
      summary: "Drain an agent",
      description:
        "The agent gets no new tasks. Tasks that it has not started are reassigned at once; tasks that it runs are reassigned at the deadline. No failure is recorded.",
      tags,
      request: { params: params("cluster", "group", "agent"), body: optionalBody(DrainRequest) },
      responses,
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      await agentInGroup(c, { cluster, group, agent });
      const request = c.req.valid("json");
      const drained = unwrap(await coordinatorOf(c.env, cluster).drain(agent, request, c.get("principal")));
      return c.json({ agent: await withLiveness(c.env, cluster, drained) }, 200);
    },
  ),

  route(
    {
      operationId: "resumeAgent",
      method: "post",
      path: `${AGENT}/resume`,
      summary: "End the drain of an agent",
      description: "The agent gets tasks again. A drain that an operator began is ended by an operator only.",
      tags,
      request: { params: params("cluster", "group", "agent") },
      responses,
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      await agentInGroup(c, { cluster, group, agent });
      const resumed = unwrap(await coordinatorOf(c.env, cluster).resume(agent, c.get("principal")));
      return c.json({ agent: await withLiveness(c.env, cluster, resumed) }, 200);
    },
  ),
];
