/** Every route under /v1 needs a token, and a deployment without its secrets serves none. Fail closed. */
import type { Context, MiddlewareHandler } from "hono";
import { BEARER_SUBPROTOCOL, SUBPROTOCOL } from "../src/contract/socket.ts";
import { configFile } from "../src/objects/bundled-config.ts";
import type { Vars } from "./app-types.ts";
import { Refused } from "./errors.ts";
import { principalOf } from "./tokens.ts";

/** Only a client that opens a socket may be unable to set headers. */
const SOCKET_PATH = /^\/v1\/clusters\/[^/]+\/groups\/[^/]+\/agents\/[^/]+\/connect$/;

const SEND = "send Authorization: Bearer TOKEN";
const SEND_EITHER = `${SEND}, or the subprotocols ${SUBPROTOCOL}, ${BEARER_SUBPROTOCOL}TOKEN`;

const TOKEN = /^[A-Za-z0-9._-]+$/;

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
  const isSocket = SOCKET_PATH.test(c.req.path);
  const token = headerToken(c) ?? (isSocket ? subprotocolToken(c) : undefined);
  if (token === undefined) throw new Refused({ code: "unauthorized", detail: isSocket ? SEND_EITHER : SEND });
  const principal = await principalOf(token, { adminToken: ADMIN_TOKEN, signingKey: SIGNING_KEY });
  if (principal === null) throw new Refused({ code: "unauthorized", detail: "the token is not valid" });
  c.set("principal", principal);
  await next();
};

function headerToken(c: Context<Vars>): string | undefined {
  return /^Bearer ([A-Za-z0-9._-]+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
}

/** The subprotocols that a client offers. */
export function offeredSubprotocols(c: Context<Vars>): string[] {
  return (c.req.header("Sec-WebSocket-Protocol") ?? "").split(",").map((name) => name.trim());
}

function subprotocolToken(c: Context<Vars>): string | undefined {
  const offered = offeredSubprotocols(c);
  if (!offered.includes(SUBPROTOCOL)) return undefined;
  const bearer = offered.find((name) => name.startsWith(BEARER_SUBPROTOCOL));
  const token = bearer?.slice(BEARER_SUBPROTOCOL.length);
  return token !== undefined && TOKEN.test(token) ? token : undefined;
}
