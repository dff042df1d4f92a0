/**
 * How a cluster's configuration comes about and changes: the file is the base, a cluster keeps what it says
 * otherwise (`config-overrides.ts`), and a change is accepted only if what results is valid as a whole.
 */
import * as z from "zod";
import { Config, ConfigChangeBody, innerSchema } from "../../contract/config.ts";
import type { FieldError } from "../../contract/problem.ts";
import { fieldErrors, prototypeKeyIssues, type SchemaIssue, schemaIssues } from "../schema-issues.ts";
import { type ConfigResult, checkConfig, resultOf, validateConfig } from "./config-check.ts";
import { isJsonObject, type Json, type JsonObject, mergePatch, objectFrom, ownValue } from "./merge-patch.ts";
import { applyOverrides, type ConfigOverrides, differenceFrom } from "./overrides.ts";
import { restoreRedacted } from "./secrets.ts";

/** A change that may be stored: the new overrides and the configuration they make, or why not. */
export type ConfigChange =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly overrides: ConfigOverrides;
      readonly warnings: readonly FieldError[];
    }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/**
 * What holds under this file. Not every stored override fits every later file (`timeout_seconds` may have
 * fallen below an overridden `interval_seconds`), hence the result.
 */
export function effectiveConfig(base: Config, overrides: ConfigOverrides): ConfigResult {
  return validateConfig(applyOverrides(base, overrides));
}

/**
 * `PATCH`: a merge patch on what holds now. `null` takes a key, a section or an entry of a map back to the
 * file; `"[redacted]"` keeps the secret.
 */
export function patchConfig(base: Config, overrides: ConfigOverrides, patch: unknown): ConfigChange {
  return changeConfig(base, overrides, patch, (current, sent) => mergePatch(current, sent, base));
}

/**
 * `PUT`: the body in place of all overrides. A section or key that it leaves out, or gives as `null`, is as in
 * the file; a map that it gives is the whole map, so that leaving out an entry removes it, and an entry given
 * as `null` is as in the file; `"[redacted]"` keeps the secret.
 */
export function replaceConfig(base: Config, overrides: ConfigOverrides, body: unknown): ConfigChange {
  return changeConfig(base, overrides, body, (_, sent) => completed(Config, sent, base));
}

function changeConfig(
  base: Config,
  overrides: ConfigOverrides,
  body: unknown,
  wanted: (current: Json, sent: JsonObject) => Json | undefined,
): ConfigChange {
  const issues = bodyIssues(body);
  if (issues.length > 0 || !isJsonObject(body)) return { ok: false, errors: fieldErrors(issues) };

  const current = applyOverrides(base, overrides);
  const restored = restoreRedacted(body, current);
  if (!restored.ok) return { ok: false, errors: fieldErrors(restored.issues) };
  if (!isJsonObject(restored.value)) throw new Error("restoring secrets keeps an object an object");

  const check = checkConfig(wanted(current, restored.value));
  const result = resultOf(check);
  return result.ok ? { ...result, overrides: differenceFrom(base, result.config) } : result;
}

/** What is wrong with the body itself, also with keys that it only sets to `null`. */
function bodyIssues(body: unknown): SchemaIssue[] {
  const prototypeKeys = prototypeKeyIssues(ConfigChangeBody, body);
  const parsed = ConfigChangeBody.safeParse(body);
  if (parsed.success) return prototypeKeys;
  const others = schemaIssues(ConfigChangeBody, parsed.error).filter(
    (issue) => issue.path.at(-1) !== "__proto__",
  );
  return [...prototypeKeys, ...others];
}

/** `sent` with what it leaves out, or gives as `null`, taken from `base`. */
function completed(
  schema: z.core.$ZodType,
  sent: Json | undefined,
  base: Json | undefined,
): Json | undefined {
  if (sent === undefined || sent === null) return base;
  const inner = innerSchema(schema);
  if (!isJsonObject(sent)) return sent;
  if (inner instanceof z.ZodObject) {
    return objectFrom(
      Object.entries(inner.shape).flatMap(([key, child]) => {
        const value = completed(child, ownValue(sent, key), ownValue(base, key));
        return value === undefined ? [] : [[key, value] as const];
      }),
    );
  }
  return objectFrom(
    Object.entries(sent).flatMap(([key, entry]) => {
      const value = entry ?? ownValue(base, key);
      return value === undefined ? [] : [[key, value] as const];
    }),
  );
}
