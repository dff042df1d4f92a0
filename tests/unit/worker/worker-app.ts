/** An application of the Worker with some of its routes, for a caller that is already authenticated. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { ADMIN, type Principal } from "../../../src/domain/principal.ts";
import type { Env } from "../../../src/objects/env.ts";
import type { App, Vars } from "../../../worker/context.ts";
import { readJsonBody } from "../../../worker/middleware/json-body.ts";
import { answerProblems } from "../../../worker/middleware/problems.ts";
import type { Route } from "../../../worker/route.ts";

export function appWith(
  routes: readonly Route[],
  { principal = ADMIN, timeLimitMs }: { principal?: Principal; timeLimitMs?: number } = {},
): App {
  const app: App = new OpenAPIHono<Vars>();
  app.use(async (c, next) => {
    c.set("requestId", "r1");
    c.set("principal", principal);
    await next();
  });
  app.use(readJsonBody(timeLimitMs));
  for (const addTo of routes) addTo(app);
  answerProblems(app);
  return app;
}

/** Objects that answer each call as `answers` says, and a list of the calls: `group.heartbeat`. */
export function recordedObjects(answers: Readonly<Record<string, unknown>>): { env: Env; calls: string[] } {
  const calls: string[] = [];
  const answer = (call: string) => {
    calls.push(call);
    return Promise.resolve(answers[call]);
  };
  const namespace = (kind: string) => ({
    getByName: () => new Proxy({}, { get: (_, method) => () => answer(`${kind}.${String(method)}`) }),
  });
  const env = { AGENT_GROUP: namespace("group"), COORDINATOR: namespace("coordinator"), SIGNING_KEY: "key" };
  return { env: env as unknown as Env, calls };
}
