/** Heartbeats of agents, one or many. */
import * as z from "zod";
import { Heartbeat, HeartbeatAnswer, HeartbeatBatch } from "../../../src/contract/agent.ts";
import { Id } from "../../../src/contract/common.ts";
import { ErrorCode } from "../../../src/contract/problem.ts";
import { unwrap } from "../../errors.ts";
import { groupOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, body, GROUP, optionalBody, params } from "../../route-schemas.ts";

const AGENT = `${GROUP}/agents/{agent}` as const;
const tags = ["agents"];

const HeartbeatItem = z.object({ id: Id, ok: z.boolean(), code: ErrorCode.optional() });

export const heartbeatRoutes: readonly Route[] = [
  route(
    {
      operationId: "heartbeat",
      method: "post",
      path: `${AGENT}/heartbeat`,
      summary: "Send a heartbeat",
      description:
        "Extends the deadline of the agent by its heartbeat timeout. The counts in the answer are hints: read the lists of tasks and messages.",
      tags,
      request: { params: params("cluster", "group", "agent"), body: optionalBody(Heartbeat) },
      responses: { 200: answer("The heartbeat counts.", HeartbeatAnswer) },
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      const heartbeat = c.req.valid("json");
      const object = groupOf(c.env, cluster, group);
      return c.json(unwrap(await object.heartbeat(agent, heartbeat, c.get("principal"))), 200);
    },
  ),

  route(
    {
      operationId: "heartbeats",
      method: "post",
      path: `${GROUP}/heartbeats`,
      summary: "Send heartbeats of many agents",
      description:
        "For a gateway that speaks for up to 1,000 agents of one group. It sends the incarnation of each agent.",
      tags,
      request: { params: params("cluster", "group"), body: body(HeartbeatBatch) },
      responses: {
        200: answer(
          "One result for each heartbeat, in order.",
          z.object({ results: z.array(HeartbeatItem) }),
        ),
      },
    },
    async (c) => {
      const { cluster, group } = c.req.valid("param");
      const { agents } = c.req.valid("json");
      const outcomes = await groupOf(c.env, cluster, group).heartbeatAll(agents);
      const results = outcomes.map((outcome, index) => {
        const id = agents[index]?.id ?? "";
        return outcome.ok ? { id, ok: true } : { id, ok: false, code: outcome.problem.code };
      });
      return c.json({ results }, 200);
    },
  ),
];
