/** The WebSocket of an agent: the Worker authenticates it, and the group of the agent holds it. */
import type { Problem } from "../../../src/contract/problem.ts";
import { SUBPROTOCOL } from "../../../src/contract/socket.ts";
import { agentOf } from "../../../src/domain/principal.ts";
import { connectUrl } from "../../../src/objects/object-names.ts";
import { Refused } from "../../errors.ts";
import { offeredSubprotocols } from "../../middleware/authenticate.ts";
import { groupOf } from "../../object-stubs.ts";
import { type Route, route } from "../../route.ts";
import { GROUP, params } from "../../route-schemas.ts";

export const connectRoutes: readonly Route[] = [
  route(
    {
      operationId: "connectAgent",
      method: "get",
      path: `${GROUP}/agents/{agent}/connect`,
      summary: "Open the WebSocket of an agent",
      description: `On the socket a text \`ping\` is a heartbeat and is answered by \`pong\`. The server sends tasks and messages; the agent sends reports and lock requests. A client that cannot set headers sends its token in the subprotocols \`${SUBPROTOCOL}, bearer.TOKEN\`.`,
      tags: ["agents"],
      request: { params: params("cluster", "group", "agent") },
      responses: { 101: { description: "A WebSocket that carries JSON frames." } },
    },
    async (c) => {
      const { cluster, group } = c.req.valid("param");
      if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") throw new Refused(NO_UPGRADE);
      const caller = agentOf(c.get("principal"));
      if (caller === null) throw new Error("the table of roles lets only agents use this route");
      const opened = await groupOf(c.env, cluster, group).fetch(
        connectUrl(caller.agentId, caller.incarnation),
        {
          headers: { Upgrade: "websocket" },
        },
      );
      const { webSocket } = opened;
      if (webSocket === null) throw new Refused((await opened.json()) as Problem);
      // A protocol that was not offered must not be selected.
      const selected = offeredSubprotocols(c).includes(SUBPROTOCOL)
        ? { "Sec-WebSocket-Protocol": SUBPROTOCOL }
        : {};
      return new Response(null, { status: 101, webSocket, headers: selected });
    },
  ),
];

const NO_UPGRADE: Problem = {
  code: "invalid_request",
  detail: "this route opens a WebSocket; connect with a WebSocket client",
  errors: [{ path: "Upgrade", message: "must be websocket" }],
};
