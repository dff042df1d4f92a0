/**
 * One route: its declaration, from which requests are validated and OpenAPI is written, and its handler. The callers
 * that may use it are in access.ts.
 */
import { createRoute, type RouteConfig, type RouteHandler } from "@hono/zod-openapi";
import type { Handler, ValidationTargets } from "hono";
import * as z from "zod";
import { fieldErrors, schemaIssues } from "../src/validation/schema-issues.ts";
import type { App, Vars } from "./context.ts";
import { Refused } from "./errors.ts";
import { authorize } from "./middleware/authorize.ts";
import type { OperationId } from "./route-roles.ts";
import { problems } from "./route-schemas.ts";

/** Adds itself to the application. */
export type Route = (app: App) => void;

type RequestParts = NonNullable<RouteConfig["request"]>;
type Declaration = Omit<RouteConfig, "operationId" | "request"> & {
  operationId: OperationId;
  request: RequestParts;
};

/** The names of the parts of a request in an error. */
const PLACES: Record<keyof ValidationTargets, string> = {
  json: "body",
  form: "body",
  query: "query",
  param: "path",
  header: "header",
  cookie: "cookie",
};

/** An unknown query parameter or field is an error, so that a misspelt name is not ignored. */
const NO_PARAMETERS = z.strictObject({});
const NO_FIELDS = z.strictObject({});

/** @param handler reads what was validated by `c.req.valid("param" | "query" | "header" | "json")` */
export function route<Path extends string, Declared extends Omit<Declaration, "path"> & { path: Path }>(
  declared: Declared,
  handler: RouteHandler<Declared, Vars>,
): Route {
  const { body, ...parts }: RequestParts = { query: NO_PARAMETERS, ...declared.request };
  const config = {
    ...declared,
    responses: { ...declared.responses, default: problems },
    security: [{ bearer: [] }],
  };
  // Its parameters and answers were checked against the declaration where the route is written.
  const handle = handler as unknown as Handler<Vars>;
  return (app) => {
    app.openAPIRegistry.registerPath({ ...config, request: { ...parts, ...(body && { body }) } });
    app.openapi(
      createRoute({ ...config, request: parts, hide: true, middleware: [authorize(declared.operationId)] }),
      (c, next) => {
        c.req.addValidatedData("json", validBody(c.get("body"), body));
        return handle(c, next) as Response | Promise<Response>;
      },
      (result) => {
        if (result.success) return;
        const schema =
          result.target === "param" ? parts.params : result.target === "query" ? parts.query : undefined;
        throw invalid(PLACES[result.target], schema, result.error);
      },
    );
  };
}

/** The body was read and parsed by middleware/json-body.ts. */
function validBody(value: unknown, declared: RequestParts["body"]): object {
  const given = value === undefined ? {} : value;
  if (declared === undefined) {
    const parsed = NO_FIELDS.safeParse(given);
    if (parsed.success) return {};
    throw new Refused({
      code: "invalid_request",
      detail: "this route takes no body; send none",
      errors: fieldErrors(schemaIssues(NO_FIELDS, parsed.error)),
    });
  }
  if (value === undefined && declared.required === true) {
    throw new Refused({ code: "invalid_request", detail: "this route needs a body; send it as JSON" });
  }
  const media = declared.content["application/json"];
  const schema = media !== undefined && "schema" in media ? media.schema : undefined;
  if (!(schema instanceof z.ZodType)) throw new Error("a body is declared without a schema");
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data as object;
  throw invalid("body", schema, parsed.error);
}

function invalid(place: string, schema: unknown, error: z.ZodError): Refused {
  const issues = schemaIssues(schema instanceof z.ZodType ? schema : z.unknown(), error);
  return new Refused({
    code: "invalid_request",
    detail: `the ${place} is not valid; see errors`,
    errors: fieldErrors(issues),
  });
}
