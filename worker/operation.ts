/**
 * One way to declare a route: its entry in the table of access, its schemas, its place in
 * the OpenAPI document, and the check that the caller may use it.
 */
import { createRoute, type RouteConfig } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import * as z from "zod";
import { Id, ResourceId } from "../src/contract/common.ts";
import { ProblemBody } from "../src/contract/problem.ts";
import { allow, type OperationId } from "./access.ts";
import { Refused } from "./errors.ts";
import type { AgentPrincipal } from "./principal.ts";
import type { Vars } from "./vars.ts";

/** `C` of the contract. */
export const CLUSTER = "/v1/clusters/{cluster}" as const;
export const GROUP = `${CLUSTER}/groups/{group}` as const;

const PARAMS = { cluster: Id, group: Id, agent: Id, task: Id, failure: Id, resource: ResourceId };

/** The path's parameters by name. */
export function params<Name extends keyof typeof PARAMS>(...names: Name[]) {
  const shape = Object.fromEntries(names.map((name) => [name, PARAMS[name]])) as Pick<typeof PARAMS, Name>;
  return z.object(shape);
}

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

type Declared = Omit<RouteConfig, "operationId"> & { operationId: OperationId };

export function operation<Path extends string, Declaration extends Omit<Declared, "path"> & { path: Path }>(
  declaration: Declaration,
) {
  return createRoute({
    ...declaration,
    middleware: guard(declaration.operationId),
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
    await next();
  };
}

/** The agent that speaks, or null for an operator. */
export function speakerOf(c: Context<Vars>): AgentPrincipal | null {
  const principal = c.get("principal");
  return principal.role === "agent" ? principal : null;
}

/** The body may name an agent, but identity comes from the token. */
export function refuseOthers(c: Context<Vars>, agentId: string): void {
  const speaker = speakerOf(c);
  if (speaker !== null && speaker.agentId !== agentId) {
    throw new Refused({ code: "forbidden", detail: "an agent's token speaks for that agent alone" });
  }
}

/** Tells the agent's group in passing, without waiting, that the agent lives. */
export function noteLife(c: Context<Vars>, sign: () => Promise<unknown>): void {
  c.executionCtx.waitUntil(
    sign().catch(() => {
      // Only a courtesy: the agent's heartbeats are what counts.
    }),
  );
}
