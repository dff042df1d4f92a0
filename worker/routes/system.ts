/** Routes of the deployment itself, which need no token: its health and the OpenAPI document. */
import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { openApiDocument } from "../openapi.ts";
import type { Route } from "../route.ts";
import { answer } from "../route-schemas.ts";

const tags = ["system"];

const health: Route = (app) =>
  app.openapi(
    createRoute({
      operationId: "getHealth",
      method: "get",
      path: "/healthz",
      summary: "Check that the service answers",
      tags,
      responses: { 200: answer("The service answers.", z.object({ status: z.literal("ok") })) },
    }),
    (c) => c.json({ status: "ok" as const }, 200),
  );

const openApi: Route = (app) => {
  let document: ReturnType<typeof openApiDocument> | undefined;
  app.openapi(
    createRoute({
      operationId: "getOpenApi",
      method: "get",
      path: "/openapi.json",
      summary: "Read this OpenAPI document",
      tags,
      responses: { 200: answer("The document.", z.looseObject({ openapi: z.string() })) },
    }),
    (c) => {
      // All routes have been added by the time of the first request.
      document ??= openApiDocument(app);
      return c.json(document, 200);
    },
  );
};

export const systemRoutes: readonly Route[] = [health, openApi];
