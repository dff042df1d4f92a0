/**
 * Web pages of other origins may call when `CORS_ORIGINS` names theirs. The token is in a header that a page must
 * have been given, never in a cookie, so that this opens the answers to a page and lends it nobody's rights.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { Vars } from "./app-types.ts";

const ANY = "*";

/** How long a browser need not ask again, in seconds: Chromium's own limit. */
const MAX_AGE_SECONDS = 7200;

/** The origins that may call: a list with commas, or `*` for all. */
export function originsOf(setting: string | undefined): string[] {
  return (setting ?? "").split(",").flatMap((origin) => origin.trim() || []);
}

const answerPages = cors({
  origin: (origin, c) => {
    const allowed = originsOf(c.env.CORS_ORIGINS);
    return allowed.includes(ANY) ? ANY : allowed.includes(origin) ? origin : null;
  },
  allowMethods: ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"],
  allowHeaders: ["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
  exposeHeaders: ["Config-Pending-Groups", "ETag", "Retry-After", "X-Request-Id"],
  maxAge: MAX_AGE_SECONDS,
});

/** Before the token is asked for: a browser asks without it whether it may call. Sockets know no such question. */
export const allowPages: MiddlewareHandler<Vars> = async (c, next) => {
  const isSocket = c.req.header("Upgrade") !== undefined;
  if (isSocket || originsOf(c.env.CORS_ORIGINS).length === 0) return next();
  return answerPages(c, next);
};
