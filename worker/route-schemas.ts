/** Schemas and answers that many routes share: path parameters, bodies, pages and waits. */
import * as z from "zod";
import { Id, ResourceId, wholeNumber } from "../src/contract/common.ts";
import { ProblemBody } from "../src/contract/problem.ts";

export const CLUSTER = "/v1/clusters/{cluster}" as const;
export const GROUP = `${CLUSTER}/groups/{group}` as const;

const PARAMS = {
  cluster: Id,
  group: Id,
  agent: Id,
  task: Id,
  attempt: wholeNumber(z.int().min(1)),
  failure: Id,
  message: Id,
  notification: Id,
  resource: ResourceId,
};

/** The path's parameters by name. */
export function params<Name extends keyof typeof PARAMS>(...names: Name[]) {
  const shape = Object.fromEntries(names.map((name) => [name, PARAMS[name]])) as Pick<typeof PARAMS, Name>;
  return z.object(shape);
}

export function body<Schema extends z.ZodType>(schema: Schema) {
  return { content: { "application/json": { schema } }, required: true };
}

/** A body that may be left out: then it counts as `{}`. */
export function optionalBody<Schema extends z.ZodType>(schema: Schema) {
  return { content: { "application/json": { schema } }, required: false };
}

export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

export const problems = {
  description: "An error. An answer 4xx means that nothing was changed, unless its `code` says otherwise.",
  content: { "application/problem+json": { schema: ProblemBody } },
};

/** Splits the query of a list into the page that is asked for and the filters. */
export function page<Query extends { limit: number; cursor?: string | undefined }>(query: Query) {
  const { limit, cursor, ...filter } = query;
  return { limit, cursor: cursor ?? null, filter };
}
