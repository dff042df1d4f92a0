/** What travels with a request through the Worker. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "../src/objects/env.ts";
import type { Principal } from "./principal.ts";

export type Vars = {
  Bindings: Env;
  Variables: { requestId: string; principal: Principal };
};

export type App = OpenAPIHono<Vars>;
