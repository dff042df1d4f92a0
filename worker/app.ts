/** The HTTP application: the middleware that every request passes, in order, and the routes. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { App, Vars } from "./context.ts";
import { authenticate } from "./middleware/authenticate.ts";
import { allowPages } from "./middleware/cors.ts";
import { readJsonBody } from "./middleware/json-body.ts";
import { answerProblems } from "./middleware/problems.ts";
import { agentRoutes } from "./routes/agents/agents.ts";
import { connectRoutes } from "./routes/agents/connect.ts";
import { drainRoutes } from "./routes/agents/drains.ts";
import { heartbeatRoutes } from "./routes/agents/heartbeats.ts";
import { heldTaskRoutes } from "./routes/agents/held-tasks.ts";
import { messageRoutes } from "./routes/agents/messages.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { configRoutes } from "./routes/config.ts";
import { eventRoutes } from "./routes/events.ts";
import { failureRoutes } from "./routes/failures.ts";
import { lockRoutes } from "./routes/locks.ts";
import { notificationRoutes } from "./routes/notifications.ts";
import { systemRoutes } from "./routes/system.ts";
import { lateResultRoutes } from "./routes/tasks/late-results.ts";
import { taskReportRoutes } from "./routes/tasks/reports.ts";
import { taskSubmissionRoutes } from "./routes/tasks/submission.ts";
import { taskRoutes } from "./routes/tasks/tasks.ts";

const ROUTES = [
  ...systemRoutes,
  ...agentRoutes,
  ...heartbeatRoutes,
  ...connectRoutes,
  ...heldTaskRoutes,
  ...drainRoutes,
  ...messageRoutes,
  ...taskSubmissionRoutes,
  ...taskReportRoutes,
  ...taskRoutes,
  ...lateResultRoutes,
  ...lockRoutes,
  ...failureRoutes,
  ...eventRoutes,
  ...notificationRoutes,
  ...clusterRoutes,
  ...configRoutes,
];

export function createApp(): App {
  const app: App = new OpenAPIHono<Vars>();
  app.use(async (c, next) => {
    c.set("requestId", crypto.randomUUID());
    await next();
    c.header("X-Request-Id", c.get("requestId"));
  });
  app.use(allowPages);
  app.use("/v1/*", authenticate);
  app.use("/v1/*", readJsonBody());
  for (const addTo of ROUTES) addTo(app);
  answerProblems(app);
  return app;
}
