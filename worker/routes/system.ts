/** Routes about the deployment itself: liveness and the OpenAPI document. */
import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import type { App } from "../app-types.ts";
import { openApiDocument } from "../openapi.ts";
import { answer } from "../route-declaration.ts";

const tags = ["system"];

const healthz = createRoute({
  operationId: "getHealth",
  method: "get",
  path: "/healthz",
  summary: "Whether the service answers.",
  tags,
  responses: { 200: answer("It does.", z.object({ status: z.literal("ok") })) },
});

const openapi = createRoute({
  operationId: "getOpenApi",
  method: "get",
  path: "/openapi.json",
  summary: "This document.",
  tags,
  responses: { 200: answer("The document.", z.looseObject({ openapi: z.string() })) },
});

export function systemRoutes(app: App): void {
  app.openapi(healthz, (c) => c.json({ status: "ok" as const }, 200));

  let document: ReturnType<typeof openApiDocument> | undefined;
  app.openapi(openapi, (c) => {
    document ??= openApiDocument(app);
    return c.json(document, 200);
  });
}
