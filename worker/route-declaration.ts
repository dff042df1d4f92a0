/**
 * One way to declare a route: its entry in the table of access, its schemas, its place in
 * the OpenAPI document, and the check that the caller may use it.
 */
import { createRoute, type RouteConfig } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import * as z from "zod";
import { Id, ResourceId } from "../src/contract/common.ts";
import { ProblemBody } from "../src/contract/problem.ts";
import { agentOf, mayActFor } from "../src/domain/principal.ts";
import { fieldErrors, schemaIssues } from "../src/validation/schema-issues.ts";
import { allow, notItself, type OperationId } from "./access.ts";
import type { Vars } from "./app-types.ts";
import { Refused } from "./errors.ts";
import { groupOf } from "./object-stubs.ts";

/** `C` of the contract. */
export const CLUSTER = "/v1/clusters/{cluster}" as const;
export const GROUP = `${CLUSTER}/groups/{group}` as const;

const PARAMS = {
  cluster: Id,
  group: Id,
  agent: Id,
  task: Id,
  attempt: z.coerce.number().int().min(1),
  failure: Id,
  message: Id,
  notification: Id,
  resource: ResourceId,
};

/** The path's parameters by name. */
export function params<Name extends keyof typeof PARAMS>(...names: Name[]) {
  const shape = Object.fromEntries(names.map((name) => [name, PARAMS[name]])) as Pick<typeof PARAMS, Name>;
  return z.object(shape);
}

const NO_PARAMETERS = z.strictObject({});
const NO_FIELDS = z.strictObject({});

export function body<Schema extends z.ZodType>(schema: Schema, required = true) {
  return { content: { "application/json": { schema } }, required };
}

export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

const problems = {
  description: "An error; nothing was changed.",
  content: { "application/problem+json": { schema: ProblemBody } },
};

type Declared = Omit<RouteConfig, "operationId" | "request"> & {
  operationId: OperationId;
  request: NonNullable<RouteConfig["request"]>;
};

export function operation<Path extends string, Declaration extends Omit<Declared, "path"> & { path: Path }>(
  declaration: Declaration,
) {
  return createRoute({
    ...declaration,
    // Without a word on them no parameters are known, so that a typo never passes silently.
    request: { query: NO_PARAMETERS, ...declaration.request } as Declaration["request"],
    middleware: [guard(declaration.operationId), lenientBody(declaration.request.body?.required)],
    responses: { ...declaration.responses, default: problems } as Declaration["responses"],
    security: [{ bearer: [] }],
  });
}

function guard(operationId: OperationId): MiddlewareHandler<Vars> {
  return async (c, next) => {
    const allowed = allow(c.get("principal"), operationId, {
      cluster: c.req.param("cluster"),
      group: c.req.param("group"),
      agent: c.req.param("agent"),
    });
    if (!allowed.ok) throw new Refused(allowed.problem);
    if (!HEARD_BY_GROUP.has(operationId)) showLife(c);
    await next();
  };
}

/** Operations of an agent that its group serves or is asked about, and so hears of anyway. */
const HEARD_BY_GROUP: ReadonlySet<OperationId> = new Set<OperationId>([
  "registerAgent",
  "heartbeat",
  "connectAgent",
  "listHeldTasks",
  "unregisterAgent",
  "listMessages",
  "acknowledgeMessage",
  "sendMessage",
  "acquireLock",
  "renewLock",
  "releaseLock",
]);

/** Any call of an agent shows that it lives. */
function showLife(c: Context<Vars>): void {
  const caller = agentOf(c.get("principal"));
  if (caller === null) return;
  inPassing(c, () => groupOf(c.env, caller.cluster, caller.group).signOfLife(caller));
}

/**
 * Where a body need not be sent an empty one is none, whatever its type; where none is expected, no field is.
 * @param isRequired undefined where the route takes no body
 */
function lenientBody(isRequired: boolean | undefined): MiddlewareHandler<Vars> {
  return async (c, next) => {
    if (isRequired !== true && c.req.method !== "GET" && c.req.method !== "HEAD") {
      const text = await c.req.text();
      if (text === "") dropContentType(c);
      else if (isRequired === undefined) refuseFields(JSON.parse(text));
    }
    await next();
  };
}

function dropContentType(c: Context<Vars>): void {
  const { url, method, headers } = c.req.raw;
  const others = new Headers(headers);
  others.delete("Content-Type");
  c.req.raw = new Request(url, { method, headers: others });
}

function refuseFields(body: unknown): void {
  const parsed = NO_FIELDS.safeParse(body);
  if (parsed.success) return;
  const errors = fieldErrors(schemaIssues(NO_FIELDS, parsed.error));
  throw new Refused({ code: "invalid_request", detail: "this route takes no body", errors });
}

/** The body may name an agent, but identity comes from the token. */
export function refuseOthers(c: Context<Vars>, agentId: string): void {
  if (!mayActFor(c.get("principal"), agentId)) throw new Refused(notItself);
}

/** Tells an object something in passing, without waiting: a courtesy, whose loss costs nothing. */
export function inPassing(c: Context<Vars>, tell: () => Promise<unknown>): void {
  c.executionCtx.waitUntil(
    tell().catch(() => {
      // The agent's heartbeats and reads are what counts.
    }),
  );
}
