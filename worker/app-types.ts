/** What travels with a request through the Worker. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Principal } from "../src/domain/principal.ts";
import type { Env } from "../src/objects/env.ts";

export type Vars = {
  Bindings: Env;
  Variables: { requestId: string; principal: Principal };
};

export type App = OpenAPIHono<Vars>;
