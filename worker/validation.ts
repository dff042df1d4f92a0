/** From a schema's complaints to the errors of a problem: they name keys, never values. */
import type * as z from "zod";
import type { FieldError } from "../src/contract/problem.ts";
import { shownKey } from "../src/domain/nearest-key.ts";
import { shownPath } from "../src/domain/schema-issues.ts";

/** Complaints shown at most. */
const ERROR_LIMIT = 20;

export function fieldErrorsOf(error: z.core.$ZodError): FieldError[] {
  return error.issues.slice(0, ERROR_LIMIT).flatMap((issue) => {
    const path = shownPath(issue.path.filter((part) => typeof part !== "symbol"));
    if (issue.code !== "unrecognized_keys") return { path, message: issue.message };
    return issue.keys
      .slice(0, ERROR_LIMIT)
      .map((key) => ({ path, message: `unknown key "${shownKey(key)}"` }));
  });
}
