/** Every route under /v1 needs a token, and a deployment without its secrets serves none. Fail closed. */
import type { MiddlewareHandler } from "hono";
import { configFile } from "../src/objects/base-config.ts";
import { Refused } from "./errors.ts";
import { principalOf } from "./principal.ts";
import type { Vars } from "./vars.ts";

export const authenticate: MiddlewareHandler<Vars> = async (c, next) => {
  const { ADMIN_TOKEN, SIGNING_KEY } = c.env;
  if (!ADMIN_TOKEN || !SIGNING_KEY) {
    throw new Refused({ code: "not_configured", detail: "set the secrets ADMIN_TOKEN and SIGNING_KEY" });
  }
  if (!configFile.ok) {
    throw new Refused({
      code: "not_configured",
      detail: "configs/distributed_config.json is not valid",
      errors: configFile.errors,
    });
  }
  const token = /^Bearer ([A-Za-z0-9._-]+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
  if (token === undefined) {
    throw new Refused({ code: "unauthorized", detail: "send Authorization: Bearer TOKEN" });
  }
  const principal = await principalOf(token, { adminToken: ADMIN_TOKEN, signingKey: SIGNING_KEY });
  if (principal === null) throw new Refused({ code: "unauthorized", detail: "the token is not valid" });
  c.set("principal", principal);
  await next();
};
