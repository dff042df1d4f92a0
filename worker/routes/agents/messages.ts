/** Mailboxes: sending a message to an agent, reading unread messages and acknowledging them. */
import { PageQuery } from "../../../src/contract/common.ts";
import {
  MessageAnswer,
  MessagePage,
  MessageSending,
  OPERATOR_SENDER,
} from "../../../src/contract/message.ts";
import { agentOf } from "../../../src/domain/principal.ts";
import { messageTopic } from "../../../src/protocol/wake-topics.ts";
import { agentInGroup } from "../../agents.ts";
import { unwrap } from "../../errors.ts";
import { agentPoll } from "../../long-poll/agent-poll.ts";
import { WaitSeconds } from "../../long-poll/long-poll.ts";
import { refuseOtherAgents } from "../../middleware/authorize.ts";
import { coordinatorOf, groupOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { answer, body, CLUSTER, GROUP, page, params } from "../../route-schemas.ts";

const MESSAGES = `${GROUP}/agents/{agent}/messages` as const;
const tags = ["messages"];

export const messageRoutes: readonly Route[] = [
  route(
    {
      operationId: "listMessages",
      method: "get",
      path: MESSAGES,
      summary: "List the unread messages of an agent",
      description:
        "The oldest message is first. With `wait_seconds` the answer waits until there is a message, at most for the heartbeat interval of the agent.",
      tags,
      request: {
        params: params("cluster", "group", "agent"),
        query: PageQuery.extend({ wait_seconds: WaitSeconds }),
      },
      responses: { 200: answer("A page of messages.", MessagePage) },
    },
    async (c) => {
      const { cluster, group, agent } = c.req.valid("param");
      const { limit, cursor, filter } = page(c.req.valid("query"));
      const found = await agentPoll(c, {
        cluster,
        group,
        agent,
        waitSeconds: filter.wait_seconds,
        topic: messageTopic(agent),
        read: () => groupOf(c.env, cluster, group).messages(agent, limit, cursor),
      });
      return c.json(found, 200);
    },
  ),

  route(
    {
      operationId: "acknowledgeMessage",
      method: "post",
      path: `${MESSAGES}/{message}/ack`,
      summary: "Acknowledge a message",
      description: "Removes the message from the mailbox. Acknowledging it again is not an error.",
      tags,
      request: { params: params("cluster", "group", "agent", "message") },
      responses: { 204: { description: "The message is no longer in the mailbox." } },
    },
    async (c) => {
      const { cluster, group, agent, message } = c.req.valid("param");
      const principal = c.get("principal");
      if (principal.role === "admin") await agentInGroup(c, { cluster, group, agent });
      unwrap(await groupOf(c.env, cluster, group).acknowledgeMessage(agent, message, principal));
      return c.body(null, 204);
    },
  ),

  route(
    {
      operationId: "sendMessage",
      method: "post",
      path: `${CLUSTER}/agents/{agent}/messages`,
      summary: "Send a message to an agent",
      description: "The message stays in the mailbox until the agent acknowledges it, at most for a week.",
      tags,
      request: { params: params("cluster", "agent"), body: body(MessageSending) },
      responses: { 201: answer("The message is in the mailbox.", MessageAnswer) },
    },
    async (c) => {
      const { cluster, agent } = c.req.valid("param");
      const sending = c.req.valid("json");
      if (sending.from !== undefined) refuseOtherAgents(c, sending.from);
      const caller = agentOf(c.get("principal"));
      if (caller !== null) unwrap(await groupOf(c.env, cluster, caller.group).signOfLife(caller));
      const { group } = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
      const from = sending.from ?? caller?.agentId ?? OPERATOR_SENDER;
      const outcome = await groupOf(c.env, cluster, group).sendMessage(agent, { ...sending, from });
      return c.json({ message: unwrap(outcome) }, 201);
    },
  ),
];
