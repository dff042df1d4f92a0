/** Which schema a route's body has: an error about an unknown key names the nearest known one. */
import * as z from "zod";
import type { App } from "./app.ts";

const NO_KEYS = z.unknown();

/** @param path as the router writes it, `/v1/clusters/:cluster/tasks` */
export function bodySchemaOf(app: App, method: string, path: string): z.ZodType {
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { route } = definition;
    if (route.method.toUpperCase() !== method || routerPath(route.path) !== path) continue;
    const media = route.request?.body?.content["application/json"];
    return media !== undefined && "schema" in media && media.schema instanceof z.ZodType
      ? media.schema
      : NO_KEYS;
  }
  return NO_KEYS;
}

function routerPath(path: string): string {
  return path.replace(/\{([^}]+)\}/g, ":$1");
}
