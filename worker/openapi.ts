/**
 * The OpenAPI document, made of the very schemas that validate requests. The schemas are written by zod
 * itself: OpenAPI 3.1 takes JSON Schema as it is, and the router's own generator knows no pattern with flags
 * and no recursive value.
 */
import type { RouteConfig } from "@hono/zod-openapi";
import * as z from "zod";
import type { App } from "./app-types.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;
type Direction = "input" | "output";

const INFO = {
  title: "Failover coordinator",
  version: "1",
  description:
    "Notices when an agent dies, moves its unfinished tasks to agents that can do them, frees its locks, and says why.",
};

const COMPONENTS = "#/components/schemas/";

const PARAMETER_PLACES = { params: "path", query: "query", headers: "header" } as const;

export function openApiDocument(app: App) {
  const components = new Components();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { path, method } = definition.route;
    paths[path] = { ...paths[path], [method]: operationOf(definition.route, components) };
  }
  return {
    openapi: "3.1.0",
    info: INFO,
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}

function operationOf(route: RouteConfig, components: Components) {
  const { operationId, summary, tags, security, request } = route;
  const body = request?.body;
  return {
    operationId,
    summary,
    tags,
    // An empty list says that nobody has to sign in.
    security: security ?? [],
    parameters: parametersOf(request, components),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.required, content: contentOf(body.content, "input", components) } }),
    responses: Object.fromEntries(
      Object.entries(route.responses).map(([status, response]) => [status, responseOf(response, components)]),
    ),
  };
}

function responseOf(response: RouteConfig["responses"][string], components: Components) {
  if ("$ref" in response) throw new Error("responses are declared where they are given");
  const { description, headers, content } = response;
  return {
    description,
    ...(headers === undefined ? {} : { headers }),
    ...(content === undefined ? {} : { content: contentOf(content, "output", components) }),
  };
}

function parametersOf(request: RouteConfig["request"], components: Components) {
  return Object.entries(PARAMETER_PLACES).flatMap(([part, place]) => {
    const schema = request?.[part as keyof typeof PARAMETER_PLACES];
    if (!(schema instanceof z.ZodObject)) return [];
    const { properties = {}, required = [] } = components.write(schema, "input");
    return Object.entries(properties).map(([name, property]) => ({
      name,
      in: place,
      required: required.includes(name),
      schema: property,
    }));
  });
}

function contentOf(content: object, direction: Direction, components: Components) {
  return Object.fromEntries(
    Object.entries(content).map(([mediaType, { schema }]: [string, { schema?: unknown }]) => {
      if (!(schema instanceof z.ZodType)) throw new Error(`${mediaType} has no schema`);
      return [mediaType, { schema: components.write(schema, direction) }];
    }),
  );
}

/** Schemas that have an id of their own, each once. */
class Components {
  readonly schemas: Record<string, JsonSchema> = {};

  write(schema: z.ZodType, direction: Direction): JsonSchema {
    const {
      $schema: _,
      $defs = {},
      ...written
    } = movedRefs(z.toJSONSchema(schema, { io: direction, unrepresentable: "any", override: leaveOpen }));
    for (const [id, component] of Object.entries($defs)) this.#add(id, component as JsonSchema);
    return written;
  }

  #add(id: string, component: JsonSchema): void {
    const known = this.schemas[id];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(component)) {
      throw new Error(`two schemas have the id ${id}`);
    }
    this.schemas[id] = component;
  }
}

/** Answers may get new members one day: a client must not refuse them. */
function leaveOpen({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }): void {
  if (zodSchema._zod.def.type === "object" && zodSchema._zod.def.catchall === undefined) {
    delete jsonSchema.additionalProperties;
  }
}

function movedRefs(schema: JsonSchema): JsonSchema {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === "$ref" && typeof value === "string" ? value.replace("#/$defs/", COMPONENTS) : value,
  ) as JsonSchema;
}
