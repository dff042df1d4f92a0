/** Routes about the deployment itself: liveness and the OpenAPI document. */
import type { App } from "../app.ts";

export function systemRoutes(app: App): void {
  app.get("/healthz", (c) => c.json({ status: "ok" }));

  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Failover coordinator",
      version: "1",
      description:
        "Notices when an agent dies, moves its unfinished tasks to agents that can do them, frees its locks, and says why.",
    },
  });
}
