/** Message boxes: sending to an agent, what it has not read yet, and acknowledging it. */
import { PageQuery } from "../../src/contract/common.ts";
import { MessageAnswer, MessagePage, MessageSending, OPERATOR_SENDER } from "../../src/contract/message.ts";
import { agentOf } from "../../src/domain/principal.ts";
import { messageTopic } from "../../src/protocol/wake-topics.ts";
import { agentIn } from "../agent-lookup.ts";
import { poll, WaitSeconds } from "../agent-poll.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { coordinatorOf, groupOf } from "../object-stubs.ts";
import { answer, body, CLUSTER, GROUP, operation, params, refuseOthers } from "../route-declaration.ts";

const MESSAGES = `${GROUP}/agents/{agent}/messages` as const;
const tags = ["messages"];

const list = operation({
  operationId: "listMessages",
  method: "get",
  path: MESSAGES,
  summary: "An agent's unread messages, oldest first; waits for one if asked to.",
  tags,
  request: {
    params: params("cluster", "group", "agent"),
    query: PageQuery.extend({ wait_seconds: WaitSeconds }),
  },
  responses: { 200: answer("A page of messages.", MessagePage) },
});

const acknowledge = operation({
  operationId: "acknowledgeMessage",
  method: "post",
  path: `${MESSAGES}/{message}/ack`,
  summary: "Takes a message out of its box; one that is not in it any more is no error.",
  tags,
  request: { params: params("cluster", "group", "agent", "message") },
  responses: { 204: { description: "Gone." } },
});

const send = operation({
  operationId: "sendMessage",
  method: "post",
  path: `${CLUSTER}/agents/{agent}/messages`,
  summary: "Sends an agent a message, which waits in its box until it is acknowledged, for a week at most.",
  tags,
  request: { params: params("cluster", "agent"), body: body(MessageSending) },
  responses: { 201: answer("In its box.", MessageAnswer) },
});

export function messageRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { cluster, group, agent } = c.req.valid("param");
    const { wait_seconds, limit, cursor } = c.req.valid("query");
    const page = await poll(c, {
      cluster,
      group,
      agent,
      waitSeconds: wait_seconds,
      topic: messageTopic(agent),
      read: () => groupOf(c.env, cluster, group).messages(agent, limit, cursor ?? null),
    });
    return c.json(page, 200);
  });

  app.openapi(acknowledge, async (c) => {
    const { cluster, group, agent, message } = c.req.valid("param");
    const principal = c.get("principal");
    if (principal.role === "admin") await agentIn(c, cluster, group, agent);
    unwrap(await groupOf(c.env, cluster, group).acknowledgeMessage(agent, message, principal));
    return c.body(null, 204);
  });

  app.openapi(send, async (c) => {
    const { cluster, agent } = c.req.valid("param");
    const sending = c.req.valid("json");
    const caller = agentOf(c.get("principal"));
    if (sending.from !== undefined) refuseOthers(c, sending.from);
    if (caller !== null) unwrap(await groupOf(c.env, cluster, caller.group).signOfLife(caller));
    const { group } = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
    const from = sending.from ?? caller?.agentId ?? OPERATOR_SENDER;
    const outcome = await groupOf(c.env, cluster, group).sendMessage(agent, { ...sending, from });
    return c.json({ message: unwrap(outcome) }, 201);
  });
}
