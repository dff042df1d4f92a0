/** What travels with a request through the Worker. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context as HonoContext } from "hono";
import type { Principal } from "../src/domain/principal.ts";
import type { Env } from "../src/objects/env.ts";

export type Vars = {
  Bindings: Env;
  Variables: {
    requestId: string;
    principal: Principal;
    /** The body as parsed JSON; undefined if the request has none. */
    body: unknown;
  };
};

export type App = OpenAPIHono<Vars>;
export type Context = HonoContext<Vars>;
