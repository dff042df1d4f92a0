/** Which schema a part of a request has: an error about an unknown key names the nearest known one. */
import type { ValidationTargets } from "hono";
import * as z from "zod";
import type { App } from "./app-types.ts";

const NO_KEYS = z.unknown();

/** @param path as the router writes it, `/v1/clusters/:cluster/tasks` */
export function schemaOf(
  app: App,
  method: string,
  path: string,
  target: keyof ValidationTargets,
): z.core.$ZodType {
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { route } = definition;
    if (route.method.toUpperCase() !== method || routerPath(route.path) !== path) continue;
    const media = route.request?.body?.content["application/json"];
    const body = media !== undefined && "schema" in media ? media.schema : undefined;
    const schema = target === "json" ? body : target === "query" ? route.request?.query : undefined;
    return schema instanceof z.ZodType ? schema : NO_KEYS;
  }
  return NO_KEYS;
}

function routerPath(path: string): string {
  return path.replace(/\{([^}]+)\}/g, ":$1");
}
