/**
 * Changes of a cluster's configuration: the file is the base, a cluster stores its differences from the file
 * (overrides.ts), and a change is accepted only if the resulting configuration is valid as a whole.
 */
import * as z from "zod";
import { Config, ConfigChangeBody, innerSchema } from "../../contract/config.ts";
import type { FieldError } from "../../contract/problem.ts";
import { fieldErrors, prototypeKeyIssues, type SchemaIssue, schemaIssues } from "../schema-issues.ts";
import { type ConfigResult, checkConfig, resultOf, validateConfig } from "./config-check.ts";
import { isJsonObject, type Json, type JsonObject, mergePatch, objectFrom, ownValue } from "./merge-patch.ts";
import { applyOverrides, type ConfigOverrides, differenceFrom } from "./overrides.ts";
import { restoreRedacted } from "./secrets.ts";

/** The new overrides and the resulting configuration, or the errors of the change. */
export type ConfigChange =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly overrides: ConfigOverrides;
      readonly warnings: readonly FieldError[];
    }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/**
 * The configuration in force. It may be invalid, since a stored override may not fit a later file: `timeout_seconds`
 * of the file may have fallen below an overridden `interval_seconds`.
 */
export function effectiveConfig(base: Config, overrides: ConfigOverrides): ConfigResult {
  return validateConfig(applyOverrides(base, overrides));
}

/**
 * `PATCH`: merges the patch into the configuration in force. `null` restores a key, a section or an entry of a map
 * from the file; `"[redacted]"` keeps the secret.
 */
export function patchConfig(base: Config, overrides: ConfigOverrides, patch: unknown): ConfigChange {
  return changeConfig({ base, overrides, body: patch }, (current, sent) => mergePatch(current, sent, base));
}

/**
 * `PUT`: the body replaces all overrides. A section or key that is missing or `null` has its value from the file. A
 * map replaces the whole map: a missing entry is removed, and an entry `null` has its value from the file.
 * `"[redacted]"` keeps the secret.
 */
export function replaceConfig(base: Config, overrides: ConfigOverrides, body: unknown): ConfigChange {
  return changeConfig({ base, overrides, body }, (_, sent) => completed(Config, sent, base));
}

function changeConfig(
  { base, overrides, body }: { base: Config; overrides: ConfigOverrides; body: unknown },
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

/** Errors of the body itself, including its keys that are `null`. */
function bodyIssues(body: unknown): SchemaIssue[] {
  const prototypeKeys = prototypeKeyIssues(ConfigChangeBody, body);
  const parsed = ConfigChangeBody.safeParse(body);
  if (parsed.success) return prototypeKeys;
  const others = schemaIssues(ConfigChangeBody, parsed.error).filter(
    (issue) => issue.path.at(-1) !== "__proto__",
  );
  return [...prototypeKeys, ...others];
}

/** `sent`, with the values from `base` where it has none or `null`. */
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
