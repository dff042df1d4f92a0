/**
 * Turns the findings of a schema into errors for people: each has a path and a sentence that says what is allowed. A
 * sentence may name a key and never repeats a value, since a value may be a secret.
 */
import * as z from "zod";
import { HINTS } from "../contract/config/values.ts";
import { innerSchema } from "../contract/config.ts";
import type { FieldError } from "../contract/problem.ts";
import { shownKey, unknownKeyMessage } from "./nearest-key.ts";

export type IssuePath = readonly (string | number)[];
export type SchemaIssue = { readonly path: IssuePath; readonly message: string };

/** Errors in one answer: enough to correct a file at once, and few enough to keep the answer to a large body small. */
export const MAX_ERRORS = 50;

const KINDS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/** Every finding of a failed parse by `schema`, in the schema's order. */
export function schemaIssues(schema: z.core.$ZodType, error: z.core.$ZodError): SchemaIssue[] {
  const pathOf = (issue: z.core.$ZodIssue) =>
    issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
  // zod measures a text where a list belongs, too: a value of the wrong type has no other finding.
  const mistyped = new Set(
    error.issues.flatMap((issue) => (issue.code === "invalid_type" ? JSON.stringify(pathOf(issue)) : [])),
  );
  return error.issues.flatMap((issue) => {
    const path = pathOf(issue);
    if (issue.code !== "invalid_type" && mistyped.has(JSON.stringify(path))) return [];
    if (issue.code !== "unrecognized_keys") {
      return [{ path, message: sentence(issue) + hintAt(schema, path, issue) }];
    }
    // The search for the nearest known key takes time, and only the first issues are shown.
    return issue.keys.map((key, index) =>
      index < MAX_ERRORS
        ? unknownKeyIssue(schema, path, key)
        : { path: [...path, key], message: "unknown key" },
    );
  });
}

/** The issue of a key that `schema` does not know at `path`. */
export function unknownKeyIssue(schema: z.core.$ZodType, path: IssuePath, key: string): SchemaIssue {
  const where = path.length === 0 ? "at the top level" : `in ${shownPath(path)}`;
  return { path: [...path, key], message: unknownKeyMessage(key, where, knownKeys(schema, path)) };
}

/**
 * Issues for keys called `__proto__`. In a map zod drops such a key without reporting it, so this function searches
 * for them.
 */
export function prototypeKeyIssues(
  schema: z.core.$ZodType,
  input: unknown,
  path: IssuePath = [],
): SchemaIssue[] {
  // No schema is deeper than this; a deeper value is refused as a whole.
  if (path.length > 8 || typeof input !== "object" || input === null || Array.isArray(input)) return [];
  return Object.entries(input).flatMap(([key, value]) =>
    key === "__proto__"
      ? [unknownKeyIssue(schema, path, key)]
      : prototypeKeyIssues(schema, value, [...path, key]),
  );
}

/** The issues as the body of an error lists them: at most 50, and the number of further ones. */
export function fieldErrors(issues: readonly SchemaIssue[]): FieldError[] {
  const shown = issues.slice(0, MAX_ERRORS).map(({ path, message }) => ({ path: shownPath(path), message }));
  const more = issues.length - shown.length;
  return more === 0 ? shown : [...shown, { path: "", message: `and ${more} more` }];
}

/** `failover_config.critical_agents[0]`, `webhook_notification.headers["X-Key"]`; empty for the whole. */
function shownPath(path: IssuePath): string {
  return path.reduce<string>((shown, part) => {
    if (typeof part === "number") return `${shown}[${part}]`;
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(part)) return `${shown}["${shownKey(part)}"]`;
    return shown === "" ? part : `${shown}.${part}`;
  }, "");
}

function sentence(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case "too_small":
      return `must ${bound(issue.origin, issue.inclusive === false ? "more than" : "at least", issue.minimum)}`;
    case "too_big":
      return `must ${bound(issue.origin, issue.inclusive === false ? "less than" : "at most", issue.maximum)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "invalid_key":
      return `the key is not allowed: ${issue.issues[0]?.message ?? issue.message}`;
    default:
      return issue.message;
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  if (origin === "string") return `have ${relation} ${limit} characters`;
  if (origin === "array" || origin === "set") return `have ${relation} ${limit} entries`;
  return `be ${relation} ${limit}`;
}

/** What the schema adds to an error about the kind of a value, or nothing. */
function hintAt(schema: z.core.$ZodType, path: IssuePath, { code }: z.core.$ZodIssue): string {
  if (code !== "invalid_type" && code !== "invalid_value") return "";
  const found = schemaAt(schema, path);
  const hint = found && HINTS.get(innerSchema(found))?.hint;
  return hint === undefined ? "" : `; ${hint}`;
}

function knownKeys(schema: z.core.$ZodType, path: IssuePath): string[] {
  const found = schemaAt(schema, path);
  const inner = found && innerSchema(found);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** The schema of the value at that path; undefined if there is none. */
function schemaAt(schema: z.core.$ZodType, path: IssuePath): z.core.$ZodType | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return schema;
  const inner = innerSchema(schema);
  if (inner instanceof z.ZodObject) {
    const child = Object.hasOwn(inner.shape, key) ? inner.shape[key] : undefined;
    return child && schemaAt(child, rest);
  }
  if (inner instanceof z.ZodRecord) return schemaAt(inner.valueType, rest);
  if (inner instanceof z.ZodArray) return schemaAt(inner.element, rest);
  return undefined;
}
