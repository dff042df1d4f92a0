/** The configuration of a cluster. */
import * as z from "zod";
import { PageQuery } from "../../src/contract/common.ts";
import { ConfigRevisionPage } from "../../src/contract/config/revision.ts";
import { ChangedConfig, Config, ConfigChangeBody } from "../../src/contract/config.ts";
import type { Outcome } from "../../src/contract/problem.ts";
import type { ConfigChanged } from "../../src/services/coordinator/config/config-service.ts";
import type { Context } from "../context.ts";
import { unwrap } from "../errors.ts";
import { coordinatorOf } from "../object-stubs.ts";
import { type Route, route } from "../route.ts";
import { answer, body, CLUSTER, page, params } from "../route-schemas.ts";

const CONFIG = `${CLUSTER}/config` as const;
const tags = ["cluster"];

/** Refuses the change if the configuration no longer has this ETag. */
const IfMatch = z.object({ "if-match": z.string().max(256).optional() });

const changed = {
  200: withETag(answer("The configuration is changed, and every group has it.", ChangedConfig)),
  202: withETag(
    answer(
      "The configuration is changed. The groups in Config-Pending-Groups do not have it yet.",
      ChangedConfig,
    ),
  ),
};

export const configRoutes: readonly Route[] = [
  route(
    {
      operationId: "getConfig",
      method: "get",
      path: CONFIG,
      summary: "Read the configuration in force",
      description: "Secrets are redacted. Send the ETag of the answer as If-Match with a change.",
      tags,
      request: { params: params("cluster") },
      responses: { 200: withETag(answer("The configuration.", Config)) },
    },
    async (c) => {
      const { config, etag } = await coordinatorOf(c.env, c.req.valid("param").cluster).config();
      c.header("ETag", etag);
      return c.json(config, 200);
    },
  ),

  route(
    {
      operationId: "listConfigChanges",
      method: "get",
      path: `${CONFIG}/changes`,
      summary: "List the changes of the configuration",
      description: "The newest change is first. Secrets are redacted.",
      tags,
      request: { params: params("cluster"), query: PageQuery },
      responses: { 200: answer("A page of changes.", ConfigRevisionPage) },
    },
    async (c) => {
      const { cluster } = c.req.valid("param");
      const { limit, cursor } = page(c.req.valid("query"));
      return c.json(await coordinatorOf(c.env, cluster).configChanges(limit, cursor), 200);
    },
  ),

  route(
    {
      operationId: "replaceConfig",
      method: "put",
      path: CONFIG,
      summary: "Replace the configuration",
      description: "A key that is left out has its value from the configuration file.",
      tags,
      request: { params: params("cluster"), headers: IfMatch, body: body(ConfigChangeBody) },
      responses: changed,
    },
    async (c) => {
      const object = coordinatorOf(c.env, c.req.valid("param").cluster);
      return answerChange(c, await object.putConfig(c.get("body"), ifMatch(c)));
    },
  ),

  route(
    {
      operationId: "patchConfig",
      method: "patch",
      path: CONFIG,
      summary: "Change the configuration",
      description: "A JSON merge patch (RFC 7396). `null` restores the value from the configuration file.",
      tags,
      request: { params: params("cluster"), headers: IfMatch, body: mergePatchBody(ConfigChangeBody) },
      responses: changed,
    },
    async (c) => {
      const object = coordinatorOf(c.env, c.req.valid("param").cluster);
      return answerChange(c, await object.patchConfig(c.get("body"), ifMatch(c)));
    },
  ),
];

function withETag<Answer extends object>(given: Answer) {
  return {
    ...given,
    headers: { ETag: { description: "The version of the configuration.", schema: { type: "string" } } },
  } as const;
}

function mergePatchBody<Schema extends z.ZodType>(schema: Schema) {
  const content = { "application/json": { schema }, "application/merge-patch+json": { schema } };
  return { content, required: true };
}

function ifMatch(c: Context): string | null {
  return c.req.header("If-Match") ?? null;
}

function answerChange(c: Context, outcome: Outcome<ConfigChanged>) {
  const { config, etag, pendingGroups, applied } = unwrap(outcome);
  const changed = { ...config, applied };
  c.header("ETag", etag);
  if (pendingGroups.length === 0) return c.json(changed, 200);
  c.header("Config-Pending-Groups", pendingGroups.join(", "));
  return c.json(changed, 202);
}
