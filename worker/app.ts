/** The HTTP application: the middleware that every request passes, in order, and the routes. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { App, Vars } from "./context.ts";
import { authenticate } from "./middleware/authenticate.ts";
import { allowPages } from "./middleware/cors.ts";
import { readJsonBody } from "./middleware/json-body.ts";
import { answerProblems } from "./middleware/problems.ts";
import { agentTaskRoutes } from "./routes/agent-tasks.ts";
import { agentRoutes } from "./routes/agents.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { configRoutes } from "./routes/config.ts";
import { connectRoutes } from "./routes/connect.ts";
import { drainRoutes } from "./routes/drains.ts";
import { eventRoutes } from "./routes/events.ts";
import { failureRoutes } from "./routes/failures.ts";
import { heartbeatRoutes } from "./routes/heartbeats.ts";
import { lateResultRoutes } from "./routes/late-results.ts";
import { lockRoutes } from "./routes/locks.ts";
import { messageRoutes } from "./routes/messages.ts";
import { notificationRoutes } from "./routes/notifications.ts";
import { systemRoutes } from "./routes/system.ts";
import { taskReportRoutes } from "./routes/task-reports.ts";
import { taskSubmissionRoutes } from "./routes/task-submission.ts";
import { taskRoutes } from "./routes/tasks.ts";

const ROUTES = [
  ...systemRoutes,
  ...agentRoutes,
  ...heartbeatRoutes,
  ...connectRoutes,
  ...agentTaskRoutes,
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
  app.use("/v1/*", readJsonBody);
  for (const addTo of ROUTES) addTo(app);
  answerProblems(app);
  return app;
}
