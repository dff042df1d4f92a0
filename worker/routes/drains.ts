/** Draining: ridding an agent of its tasks without a failure, and having it take tasks again. */
import * as z from "zod";
import { Agent, DrainRequest } from "../../src/contract/agent.ts";
import { agentIn } from "../agent-lookup.ts";
import type { App } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { withLiveness } from "../liveness.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { answer, body, GROUP, operation, params } from "../route-declaration.ts";

const AGENT = `${GROUP}/agents/{agent}` as const;
const tags = ["agents"];
const agent = { 200: answer("The agent as it stands.", z.object({ agent: Agent })) };

const drain = operation({
  operationId: "drainAgent",
  method: "post",
  path: `${AGENT}/drain`,
  summary:
    "The agent takes no new tasks; those it has not started move at once, those it runs at the deadline. No failure is recorded.",
  tags,
  request: { params: params("cluster", "group", "agent"), body: body(DrainRequest, false) },
  responses: agent,
});

const resume = operation({
  operationId: "resumeAgent",
  method: "post",
  path: `${AGENT}/resume`,
  summary: "The agent takes tasks again; what an operator drains, an operator resumes.",
  tags,
  request: { params: params("cluster", "group", "agent") },
  responses: agent,
});

export function drainRoutes(app: App): void {
  app.openapi(drain, async (c) => {
    const { cluster, group, agent: agentId } = c.req.valid("param");
    await agentIn(c, cluster, group, agentId);
    // A body that was left out was not seen by its schema: here it gets its defaults.
    const request = DrainRequest.parse(c.req.valid("json") ?? {});
    const drained = unwrap(await coordinatorOf(c.env, cluster).drain(agentId, request, c.get("principal")));
    return c.json({ agent: await withLiveness(c.env, cluster, drained) }, 200);
  });

  app.openapi(resume, async (c) => {
    const { cluster, group, agent: agentId } = c.req.valid("param");
    await agentIn(c, cluster, group, agentId);
    const resumed = unwrap(await coordinatorOf(c.env, cluster).resume(agentId, c.get("principal")));
    return c.json({ agent: await withLiveness(c.env, cluster, resumed) }, 200);
  });
}
