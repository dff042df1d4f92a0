/** The cluster as a whole: its status, its configuration, and failures tried before they happen. */
import type { Context } from "hono";
import * as z from "zod";
import { ClusterStatus } from "../../src/contract/cluster.ts";
import { Config, ConfigChangeBody } from "../../src/contract/config.ts";
import { FailoverSimulation, Readiness, SimulatedFailover } from "../../src/contract/failover-simulation.ts";
import type { Outcome } from "../../src/contract/problem.ts";
import type { ConfigAnswer } from "../../src/services/coordinator/config/config-service.ts";
import type { App, Vars } from "../app-types.ts";
import { unwrap } from "../errors.ts";
import { coordinatorOf, groupOf } from "../object-stubs.ts";
import { answer, body, CLUSTER, operation, params } from "../route-declaration.ts";

const CONFIG = `${CLUSTER}/config` as const;
const tags = ["cluster"];

const status = operation({
  operationId: "getStatus",
  method: "get",
  path: `${CLUSTER}/status`,
  summary: "The cluster at a glance.",
  tags,
  request: { params: params("cluster") },
  responses: { 200: answer("The status.", ClusterStatus) },
});

const simulateFailover = operation({
  operationId: "simulateFailover",
  method: "post",
  path: `${CLUSTER}/simulations/failover`,
  summary: "What would happen if these failed now; nothing is done.",
  tags,
  request: { params: params("cluster"), body: body(FailoverSimulation) },
  responses: { 200: answer("What would happen.", SimulatedFailover) },
});

const getReadiness = operation({
  operationId: "getReadiness",
  method: "get",
  path: `${CLUSTER}/readiness`,
  summary: "Single points of failure.",
  tags,
  request: { params: params("cluster") },
  responses: { 200: answer("What was found.", Readiness) },
});

const getConfig = operation({
  operationId: "getConfig",
  method: "get",
  path: CONFIG,
  summary: "The configuration in force, secrets redacted; its ETag goes into If-Match.",
  tags,
  request: { params: params("cluster") },
  responses: { 200: tagged(answer("The configuration.", Config)) },
});

const changed = {
  200: tagged(answer("Changed, and every group has it.", Config)),
  202: tagged(answer("Changed; the groups named in Config-Pending-Groups do not have it yet.", Config)),
};

/** Refuses the change if the configuration is no longer the one with that ETag. */
const IfMatch = z.object({ "if-match": z.string().max(256).optional() });

const replaceConfig = operation({
  operationId: "replaceConfig",
  method: "put",
  path: CONFIG,
  summary: "Replaces the configuration; what is left out is as in the file.",
  tags,
  request: { params: params("cluster"), headers: IfMatch, body: body(ConfigChangeBody) },
  responses: changed,
});

const patchConfig = operation({
  operationId: "patchConfig",
  method: "patch",
  path: CONFIG,
  summary: "Changes the configuration by a merge patch; null goes back to the file.",
  tags,
  request: { params: params("cluster"), headers: IfMatch, body: mergePatchBody(ConfigChangeBody) },
  responses: changed,
});

export function clusterRoutes(app: App): void {
  app.openapi(status, async (c) => {
    const { cluster } = c.req.valid("param");
    const known = await coordinatorOf(c.env, cluster).status();
    const locked = await Promise.all(
      known.groups.map((group) => groupOf(c.env, cluster, group).lockedCount()),
    );
    return c.json({ ...known, locked_resources: locked.reduce((sum, count) => sum + count, 0) }, 200);
  });

  app.openapi(simulateFailover, async (c) => {
    const { cluster } = c.req.valid("param");
    return c.json(unwrap(await coordinatorOf(c.env, cluster).simulateFailover(c.req.valid("json"))), 200);
  });

  app.openapi(getReadiness, async (c) => {
    return c.json(await coordinatorOf(c.env, c.req.valid("param").cluster).readiness(), 200);
  });

  app.openapi(getConfig, async (c) => {
    const { config, etag } = await coordinatorOf(c.env, c.req.valid("param").cluster).config();
    c.header("ETag", etag);
    return c.json(config, 200);
  });

  app.openapi(replaceConfig, async (c) => {
    const { cluster } = c.req.valid("param");
    return answerChange(c, await coordinatorOf(c.env, cluster).putConfig(await c.req.json(), ifMatch(c)));
  });

  app.openapi(patchConfig, async (c) => {
    const { cluster } = c.req.valid("param");
    return answerChange(c, await coordinatorOf(c.env, cluster).patchConfig(await c.req.json(), ifMatch(c)));
  });
}

function tagged<Answer extends object>(given: Answer) {
  return {
    ...given,
    headers: { ETag: { description: "Of the configuration.", schema: { type: "string" } } },
  } as const;
}

function mergePatchBody<Schema extends z.ZodType>(schema: Schema) {
  const content = { "application/json": { schema }, "application/merge-patch+json": { schema } };
  return { content, required: true };
}

function ifMatch(c: Context<Vars>): string | null {
  return c.req.header("If-Match") ?? null;
}

function answerChange(c: Context<Vars>, outcome: Outcome<ConfigAnswer>) {
  const { config, etag, pendingGroups } = unwrap(outcome);
  c.header("ETag", etag);
  if (pendingGroups.length === 0) return c.json(config, 200);
  c.header("Config-Pending-Groups", pendingGroups.join(", "));
  return c.json(config, 202);
}
