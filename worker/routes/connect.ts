/** The socket of an agent: the Worker lets it in, its group holds it. */
import type { Problem } from "../../src/contract/problem.ts";
import { SUBPROTOCOL } from "../../src/contract/socket.ts";
import { agentOf } from "../../src/domain/principal.ts";
import { connectUrl } from "../../src/objects/object-names.ts";
import type { App } from "../app-types.ts";
import { offeredSubprotocols } from "../authenticate.ts";
import { Refused } from "../errors.ts";
import { groupOf } from "../object-stubs.ts";
import { GROUP, operation, params } from "../route-declaration.ts";

const connect = operation({
  operationId: "connectAgent",
  method: "get",
  path: `${GROUP}/agents/{agent}/connect`,
  summary:
    "Opens the agent's WebSocket: a `ping` is a heartbeat, tasks and messages are pushed, reports and locks are asked for.",
  tags: ["agents"],
  request: { params: params("cluster", "group", "agent") },
  responses: {
    101: {
      description: `A WebSocket of JSON frames. The token may also come in the subprotocols \`${SUBPROTOCOL}, bearer.TOKEN\`.`,
    },
  },
});

export function connectRoutes(app: App): void {
  app.openapi(connect, async (c) => {
    const { cluster, group, agent } = c.req.valid("param");
    if (c.req.header("Upgrade")?.toLowerCase() !== "websocket") throw new Refused(NO_UPGRADE);
    const caller = agentOf(c.get("principal"));
    if (caller === null) throw new Error("the table of access lets agents alone in");
    const answer = await groupOf(c.env, cluster, group).fetch(connectUrl(agent, caller.incarnation), {
      headers: { Upgrade: "websocket" },
    });
    const { webSocket } = answer;
    if (webSocket === null) throw new Refused((await answer.json()) as Problem);
    // A protocol that was not offered must not be selected.
    const selected = offeredSubprotocols(c).includes(SUBPROTOCOL)
      ? { "Sec-WebSocket-Protocol": SUBPROTOCOL }
      : {};
    return new Response(null, { status: 101, webSocket, headers: selected });
  });
}

const NO_UPGRADE: Problem = {
  code: "invalid_request",
  detail: "this route is a WebSocket: connect to it with a WebSocket client",
  errors: [{ path: "Upgrade", message: "must be websocket" }],
};
