/** Agents: registration, heartbeats, their task lists, leaving, and failures seen elsewhere. */
import type { Context } from "hono";
import * as z from "zod";
import {
  AgentFilter,
  AgentPage,
  Agent as AgentSchema,
  FailureReport,
  Heartbeat,
  HeartbeatAnswer,
  HeartbeatBatch,
  Registration,
  RegistrationAnswer,
} from "../../src/contract/agent.ts";
import { Id, PageQuery } from "../../src/contract/common.ts";
import { FailureAnswer } from "../../src/contract/failure.ts";
import { ErrorCode } from "../../src/contract/problem.ts";
import { TASK_STATUSES, TaskPage, TaskStatus } from "../../src/contract/task.ts";
import { mayActFor } from "../../src/domain/principal.ts";
import { agentTopic } from "../../src/protocol/wake-topics.ts";
import { notItself } from "../access.ts";
import { agentIn } from "../agent-lookup.ts";
import { poll, WaitSeconds } from "../agent-poll.ts";
import type { App, Vars } from "../app-types.ts";
import { Refused, unwrap } from "../errors.ts";
import { withLiveness, withLivenessAll } from "../liveness.ts";
import { coordinatorOf, groupOf } from "../object-stubs.ts";
import { answer, body, CLUSTER, GROUP, inPassing, operation, params } from "../route-declaration.ts";
import { mintAgentToken } from "../tokens.ts";

const AGENT = `${GROUP}/agents/{agent}` as const;
const tags = ["agents"];

const register = operation({
  operationId: "registerAgent",
  method: "put",
  path: AGENT,
  summary: "Registers an agent, or registers it again under a new incarnation.",
  tags,
  request: { params: params("cluster", "group", "agent"), body: body(Registration) },
  responses: {
    200: answer("Registered again.", RegistrationAnswer),
    201: answer("Registered.", RegistrationAnswer),
  },
});

const heartbeat = operation({
  operationId: "heartbeat",
  method: "post",
  path: `${AGENT}/heartbeat`,
  summary: "Shows that the agent lives.",
  tags,
  request: { params: params("cluster", "group", "agent"), body: body(Heartbeat, false) },
  responses: { 200: answer("Noted.", HeartbeatAnswer) },
});

const HeartbeatItem = z.object({ id: Id, ok: z.boolean(), code: ErrorCode.optional() });

const heartbeats = operation({
  operationId: "heartbeats",
  method: "post",
  path: `${GROUP}/heartbeats`,
  summary:
    "Shows that up to 1,000 agents of the group live, for a gateway that speaks for them; by the administrator's token.",
  tags,
  request: { params: params("cluster", "group"), body: body(HeartbeatBatch) },
  responses: {
    200: answer("What became of each, in order.", z.object({ results: z.array(HeartbeatItem) })),
  },
});

const HeldTasksQuery = PageQuery.extend({
  // Held tasks are in order of urgency, so their cursor is a place in it.
  cursor: z
    .string()
    .regex(/^-?\d{1,17}(\.\d{1,17})?:\d{1,15}$/, "must be the `next_cursor` of a page before")
    .optional(),
  status: z
    .string()
    .max(64)
    .default("assigned")
    .transform((list) => list.split(","))
    .pipe(z.array(TaskStatus).max(TASK_STATUSES.length))
    .meta({ description: "A status or several, separated by commas." }),
  wait_seconds: WaitSeconds,
});

const heldTasks = operation({
  operationId: "listHeldTasks",
  method: "get",
  path: `${AGENT}/tasks`,
  summary: "The tasks an agent holds, most urgent first; waits for one if asked to.",
  tags,
  request: { params: params("cluster", "group", "agent"), query: HeldTasksQuery },
  responses: {
    200: answer("A page of tasks.", TaskPage),
  },
});

const unregister = operation({
  operationId: "unregisterAgent",
  method: "delete",
  path: AGENT,
  summary: "Unregisters: its tasks move on, its locks are released, no failure is recorded.",
  tags,
  request: { params: params("cluster", "group", "agent") },
  responses: { 204: { description: "Gone." } },
});

const list = operation({
  operationId: "listAgents",
  method: "get",
  path: `${CLUSTER}/agents`,
  summary: "The agents of the cluster.",
  tags,
  request: {
    params: params("cluster"),
    query: PageQuery.extend({ ...AgentFilter.shape, cursor: Id.optional() }),
  },
  responses: { 200: answer("A page of agents.", AgentPage) },
});

const get = operation({
  operationId: "getAgent",
  method: "get",
  path: `${CLUSTER}/agents/{agent}`,
  summary: "One agent.",
  tags,
  request: { params: params("cluster", "agent") },
  responses: { 200: answer("The agent.", z.object({ agent: AgentSchema })) },
});

const reportFailure = operation({
  operationId: "reportFailure",
  method: "post",
  path: `${CLUSTER}/agents/{agent}/failures`,
  summary: "Reports a failure seen elsewhere; failover starts now.",
  tags,
  request: { params: params("cluster", "agent"), body: body(FailureReport) },
  responses: { 201: answer("On record.", FailureAnswer) },
});

export function agentRoutes(app: App): void {
  app.openapi(register, async (c) => {
    const { cluster, group, agent: agentId } = c.req.valid("param");
    const principal = c.get("principal");
    if (!mayActFor(principal, agentId)) return refuseImpostor(c, cluster, agentId);
    const outcome = await coordinatorOf(c.env, cluster).register(
      { group, agentId },
      c.req.valid("json"),
      principal,
    );
    if (!outcome.ok && outcome.problem.code === "agent_live") {
      const [known] = await groupOf(c.env, cluster, group).liveness([agentId]);
      throw new Refused({ ...outcome.problem, evidence: { deadline_at: known?.deadline_at ?? null } });
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
  });

  app.openapi(heartbeat, async (c) => {
    const { cluster, group, agent } = c.req.valid("param");
    const principal = c.get("principal");
    const load = c.req.valid("json") ?? {};
    const outcome = await groupOf(c.env, cluster, group).heartbeat(agent, load, principal);
    return c.json(unwrap(outcome), 200);
  });

  app.openapi(heartbeats, async (c) => {
    const { cluster, group } = c.req.valid("param");
    const { agents } = c.req.valid("json");
    const outcomes = await groupOf(c.env, cluster, group).heartbeatAll(agents);
    const results = outcomes.map((outcome, index) => {
      const id = agents[index]?.id ?? "";
      return outcome.ok ? { id, ok: true } : { id, ok: false, code: outcome.problem.code };
    });
    return c.json({ results }, 200);
  });

  app.openapi(heldTasks, async (c) => {
    const { cluster, group, agent } = c.req.valid("param");
    const { status, wait_seconds, limit, cursor } = c.req.valid("query");
    const principal = c.get("principal");
    const read = async () => {
      const page = await coordinatorOf(c.env, cluster).tasksOf(
        agent,
        { statuses: status, limit, cursor: cursor ?? null },
        principal,
      );
      if (principal.role === "agent" && status.includes("assigned")) {
        const unstarted = page.items.filter((task) => task.status === "assigned").length;
        inPassing(c, () => groupOf(c.env, cluster, group).recordTaskListRead(agent, unstarted));
      }
      return page;
    };
    const topic = agentTopic(agent);
    const page = await poll(c, { cluster, group, agent, waitSeconds: wait_seconds, topic, read });
    return c.json(page, 200);
  });

  app.openapi(unregister, async (c) => {
    const { cluster, group, agent } = c.req.valid("param");
    const principal = c.get("principal");
    const known = await agentIn(c, cluster, group, agent);
    if (principal.role === "admin" && known.status === "inactive") {
      unwrap(await coordinatorOf(c.env, cluster).forget(agent));
    } else {
      unwrap(await groupOf(c.env, cluster, group).unregister(agent, principal));
    }
    return c.body(null, 204);
  });

  app.openapi(list, async (c) => {
    const { cluster } = c.req.valid("param");
    const { limit, cursor, ...filter } = c.req.valid("query");
    const page = await coordinatorOf(c.env, cluster).agents(filter, limit, cursor ?? null);
    return c.json({ ...page, items: await withLivenessAll(c.env, cluster, page.items) }, 200);
  });

  app.openapi(get, async (c) => {
    const { cluster, agent } = c.req.valid("param");
    const known = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
    return c.json({ agent: await withLiveness(c.env, cluster, known) }, 200);
  });

  app.openapi(reportFailure, async (c) => {
    const { cluster, agent } = c.req.valid("param");
    const { group, status } = unwrap(await coordinatorOf(c.env, cluster).agent(agent));
    if (status === "inactive") {
      throw new Refused({ code: "invalid_transition", detail: "the agent is inactive already" });
    }
    const { failureId } = unwrap(
      await groupOf(c.env, cluster, group).reportFailure(agent, c.req.valid("json")),
    );
    const failure = unwrap(await coordinatorOf(c.env, cluster).failure(failureId));
    return c.json({ failure }, 201);
  });
}

/** Another agent's token registers nobody; while the agent lives, the answer says until when that is certain. */
async function refuseImpostor(c: Context<Vars>, cluster: string, agentId: string): Promise<never> {
  const known = await coordinatorOf(c.env, cluster).agent(agentId);
  if (!known.ok || known.value.status === "inactive") throw new Refused(notItself);
  const { deadline_at } = await withLiveness(c.env, cluster, known.value);
  throw new Refused({
    code: "agent_live",
    detail: "the agent is live, and this token is another's",
    evidence: { deadline_at },
  });
}

/** @param forwarded what a proxy with TLS says of the caller's side; it touches this answer alone */
function websocketUrl(requestUrl: string, forwarded: string | undefined): string {
  const url = new URL(requestUrl);
  const isSecure = url.protocol === "https:" || forwarded?.split(",")[0]?.trim().toLowerCase() === "https";
  url.protocol = isSecure ? "wss:" : "ws:";
  url.search = "";
  return `${url}/connect`;
}
