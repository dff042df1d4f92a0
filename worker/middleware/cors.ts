/**
 * CORS: pages of other origins may call when `CORS_ORIGINS` lists their origin. The token is in a header, which the
 * page must know, and never in a cookie, so that such a page gets no rights of the person who opened it.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { Vars } from "../context.ts";

const ANY = "*";

/** How long a browser may remember the answer: the limit of Chromium. */
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

/** Runs before authentication, because a browser sends its preflight request without a token. CORS excludes sockets. */
export const allowPages: MiddlewareHandler<Vars> = async (c, next) => {
  const isSocket = c.req.header("Upgrade") !== undefined;
  if (isSocket || originsOf(c.env.CORS_ORIGINS).length === 0) return next();
  return answerPages(c, next);
};
