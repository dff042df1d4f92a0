/**
 * The OpenAPI document, made from the schemas that validate requests. zod writes each schema as JSON Schema, which
 * OpenAPI 3.1 accepts as it is; the generator of the router cannot write patterns with flags or recursive values.
 */
import type { RouteConfig } from "@hono/zod-openapi";
import * as z from "zod";
import type { App } from "./context.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;
type Direction = "input" | "output";

const INFO = {
  title: "Failover coordinator",
  version: "1",
  description:
    "Detects failed agents, reassigns their unfinished tasks to agents that can do them, releases their locks, and explains every decision.",
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
  const { operationId, summary, description, tags, security, request } = route;
  const body = request?.body;
  return {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    tags,
    // An empty list says that the operation needs no token.
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
  if ("$ref" in response) throw new Error("a response must be declared in place, not as a reference");
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

/** The schemas that have an id, each written once. */
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

/** Answers may get new members in a later version: a client must accept members that it does not know. */
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
