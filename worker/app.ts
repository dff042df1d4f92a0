/** The HTTP application: what every request passes through, and the routes. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { ValidationTargets } from "hono";
import { HTTPException } from "hono/http-exception";
import { fieldErrors, schemaIssues } from "../src/validation/schema-issues.ts";
import { allowedMethods } from "./allowed-methods.ts";
import type { App, Vars } from "./app-types.ts";
import { authenticate } from "./authenticate.ts";
import { allowPages } from "./cors.ts";
import { problemResponse, Refused } from "./errors.ts";
import { checkBody, limitBody, SEND_JSON } from "./request-body.ts";
import { schemaOf } from "./route-schemas.ts";
import { agentRoutes } from "./routes/agents.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { connectRoutes } from "./routes/connect.ts";
import { drainRoutes } from "./routes/drains.ts";
import { failureRoutes } from "./routes/failures.ts";
import { lateResultRoutes } from "./routes/late-results.ts";
import { lockRoutes } from "./routes/locks.ts";
import { messageRoutes } from "./routes/messages.ts";
import { notificationRoutes } from "./routes/notifications.ts";
import { systemRoutes } from "./routes/system.ts";
import { taskRoutes } from "./routes/tasks.ts";

/** What people call the part of a request that a schema refused. */
const PLACES: Record<keyof ValidationTargets, string> = {
  json: "body",
  form: "body",
  query: "query",
  param: "path",
  header: "header",
  cookie: "cookie",
};

export function createApp(): App {
  const app: App = new OpenAPIHono<Vars>({
    defaultHook: (result, c) => {
      if (result.success) return;
      const schema = schemaOf(app, c.req.method, c.req.routePath, result.target);
      const errors = fieldErrors(schemaIssues(schema, result.error));
      const detail = `the ${PLACES[result.target]} is not valid`;
      return problemResponse(c, { code: "invalid_request", detail, errors });
    },
  });

  app.use(async (c, next) => {
    c.set("requestId", crypto.randomUUID());
    await next();
    c.header("X-Request-Id", c.get("requestId"));
  });
  app.use(allowPages);
  app.use("/v1/*", authenticate);
  app.use("/v1/*", limitBody);
  app.use("/v1/*", checkBody);

  systemRoutes(app);
  agentRoutes(app);
  connectRoutes(app);
  drainRoutes(app);
  messageRoutes(app);
  taskRoutes(app);
  lateResultRoutes(app);
  lockRoutes(app);
  failureRoutes(app);
  notificationRoutes(app);
  clusterRoutes(app);

  app.notFound((c) => {
    const methods = allowedMethods(app, c.req.path);
    if (methods.length === 0)
      return problemResponse(c, { code: "not_found", detail: "there is no such route; see /openapi.json" });
    c.header("Allow", methods.join(", "));
    return problemResponse(c, { code: "method_not_allowed", detail: `allowed here: ${methods.join(", ")}` });
  });

  app.onError((error, c) => {
    if (error instanceof Refused) return problemResponse(c, error.problem);
    if (error instanceof HTTPException && error.status === 400) {
      return problemResponse(c, { code: "invalid_request", detail: "the body is not valid JSON" });
    }
    if (error instanceof HTTPException && error.status === 415) {
      return problemResponse(c, { code: "unsupported_media_type", detail: SEND_JSON });
    }
    const isOverload = "overloaded" in error || "retryable" in error;
    console.error(
      JSON.stringify({
        level: "error",
        event: "request_failed",
        request_id: c.get("requestId"),
        error: String(error),
      }),
    );
    return isOverload
      ? problemResponse(c, { code: "unavailable", detail: "try again in a moment" })
      : problemResponse(c, {
          code: "internal",
          detail: "the request failed on our side; the log has it under the request id",
        });
  });
  return app;
}
