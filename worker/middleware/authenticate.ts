/**
 * Authentication: every route under /v1 needs a token. A deployment that lacks its secrets or has an invalid
 * configuration file answers none of these routes.
 */
import type { MiddlewareHandler } from "hono";
import { BEARER_SUBPROTOCOL, SUBPROTOCOL } from "../../src/contract/socket.ts";
import { configFile } from "../../src/objects/bundled-config.ts";
import type { Context, Vars } from "../context.ts";
import { Refused } from "../errors.ts";
import { principalOf, secretsIn } from "../tokens.ts";

/** Browsers cannot set headers when they open a socket, so this path also takes its token from the subprotocols. */
const SOCKET_PATH = /^\/v1\/clusters\/[^/]+\/groups\/[^/]+\/agents\/[^/]+\/connect$/;

const SEND = "send Authorization: Bearer TOKEN";
const SEND_EITHER = `${SEND}, or the subprotocols ${SUBPROTOCOL}, ${BEARER_SUBPROTOCOL}TOKEN`;

const TOKEN = /^[A-Za-z0-9._-]+$/;

export const authenticate: MiddlewareHandler<Vars> = async (c, next) => {
  const secrets = secretsIn(c.env);
  if (!secrets.ok) throw new Refused(secrets.problem);
  if (!configFile.ok) {
    throw new Refused({
      code: "not_configured",
      detail: "configs/distributed_config.json is not valid; correct it and restart or deploy again",
      errors: configFile.errors,
    });
  }
  const isSocket = SOCKET_PATH.test(c.req.path);
  const token = headerToken(c) ?? (isSocket ? subprotocolToken(c) : undefined);
  if (token === undefined) {
    throw new Refused({
      code: "unauthorized",
      detail: `the request has no token; ${isSocket ? SEND_EITHER : SEND}`,
    });
  }
  const principal = await principalOf(token, secrets.value);
  if (principal === null) {
    throw new Refused({
      code: "unauthorized",
      detail:
        "the token is not valid in this deployment; send its ADMIN_TOKEN or the token of a registration",
    });
  }
  c.set("principal", principal);
  await next();
};

function headerToken(c: Context): string | undefined {
  return /^Bearer ([A-Za-z0-9._-]+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
}

/** The subprotocols that a client offers. */
export function offeredSubprotocols(c: Context): string[] {
  return (c.req.header("Sec-WebSocket-Protocol") ?? "").split(",").map((name) => name.trim());
}

function subprotocolToken(c: Context): string | undefined {
  const offered = offeredSubprotocols(c);
  if (!offered.includes(SUBPROTOCOL)) return undefined;
  const bearer = offered.find((name) => name.startsWith(BEARER_SUBPROTOCOL));
  const token = bearer?.slice(BEARER_SUBPROTOCOL.length);
  return token !== undefined && TOKEN.test(token) ? token : undefined;
}
