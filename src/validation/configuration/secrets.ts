/**
 * The secrets in a configuration, which the schema marks. They are redacted in every answer, restored when a change
 * contains the redacted form, and reported if the configuration contains the secret itself and not its name.
 */
import * as z from "zod";
import { Config, innerSchema, metadataOf } from "../../contract/config.ts";
import type { SchemaIssue } from "../schema-issues.ts";
import { isJsonObject, type Json, objectFrom, ownValue } from "./merge-patch.ts";

/** Replaces a secret in answers, or the text beside its name. In a change it means "unchanged". */
export const REDACTED = "[redacted]";

/** Entries of a secret map that are not secret, in lower case. */
const PUBLIC_ENTRIES: ReadonlySet<string> = new Set(["content-type"]);

/** Headers that usually contain a credential. A literal value in any other header gets no warning. */
const CREDENTIAL_HEADER = /auth|cookie|token|secret|key|password|signature/i;

/**
 * Names of the secrets that a text refers to: `"Bearer ${API_TOKEN}"` gives `["API_TOKEN"]`.
 * A name has 1 to 64 letters, digits and underscores and does not begin with a digit.
 */
export function secretNamesIn(text: string): string[] {
  return [...text.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]{0,63})\}/g)].flatMap((match) => match[1] ?? []);
}

/** The configuration with every secret shown as `"[redacted]"`. The names of secrets stay: `"${SMTP_PASSWORD}"`. */
export function redactConfig(config: Config): Config {
  // Strings are replaced by strings and nothing else changes, so the shape is the same.
  return replaceSecrets(config, (_, value) => (isSet(value) ? redacted(value) : value)) as Config;
}

/** Splits a text at the names of secrets, which `split` keeps because of the group. */
const AT_NAMES = /(\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\})/;

function redacted(value: string): string {
  const parts = value.split(AT_NAMES);
  return parts.map((part) => (part === "" || secretNamesIn(part).length > 0 ? part : REDACTED)).join("");
}

/**
 * Puts the current value in each place where a configuration or patch has `"[redacted]"`, or the redacted form, for a
 * secret. The case of header names does not matter. A place without a current value is an issue.
 */
export function restoreRedacted(
  incoming: Json,
  current: Json,
): { ok: true; value: Json } | { ok: false; issues: SchemaIssue[] } {
  const issues: SchemaIssue[] = [];
  const value = replaceSecrets(incoming, (path, sent) => {
    if (!isSet(sent) || !sent.includes(REDACTED)) return sent;
    const kept = currentSecret(current, path);
    if (isSet(kept) && (sent === REDACTED || sent === redacted(kept))) return kept;
    const reason = isSet(kept) ? "the present value has another form" : "none is set";
    issues.push({ path, message: `"${REDACTED}" keeps the present value, and ${reason}; send the value` });
    return sent;
  });
  return issues.length === 0 ? { ok: true, value } : { ok: false, issues };
}

/** Issues for secrets that are the placeholder itself, for example if a redacted answer was copied into a file. */
export function placeholderIssues(config: Config): SchemaIssue[] {
  return secretsOf(config)
    .filter(({ value }) => isSet(value) && value.includes(REDACTED))
    .map(({ path }) => ({ path, message: `must be the secret or its name, not "${REDACTED}"` }));
}

/** One warning, without the value, for each secret that the configuration contains literally. */
export function literalSecretWarnings(config: Config): SchemaIssue[] {
  return secretsOf(config)
    .filter(({ path, value }) => isSet(value) && secretNamesIn(value).length === 0 && mattersAt(path))
    .map(({ path }) => ({
      path,
      message: `contains the secret itself; set it in the environment and write its name here: "$\{NAME}"`,
    }));
}

/** The secrets that a configuration contains literally, not by name. */
export function literalSecretsOf(config: Partial<Config>): string[] {
  return secretsOf(config).flatMap(({ value }) =>
    isSet(value) && secretNamesIn(value).length === 0 ? [value] : [],
  );
}

const mattersAt = (path: readonly string[]) =>
  !path.includes("headers") || CREDENTIAL_HEADER.test(path.at(-1) ?? "");

const isSet = (value: Json | undefined): value is string => typeof value === "string" && value !== "";

function secretsOf(config: Partial<Config>): { path: readonly string[]; value: Json }[] {
  const found: { path: readonly string[]; value: Json }[] = [];
  replaceSecrets(config, (path, value) => {
    found.push({ path, value });
    return value;
  });
  return found;
}

function currentSecret(current: Json, path: readonly string[]): Json | undefined {
  const parent = path.slice(0, -1).reduce<Json | undefined>(ownValue, current);
  const name = path.at(-1)?.toLowerCase();
  if (!isJsonObject(parent)) return undefined;
  return Object.entries(parent).find(([key]) => key.toLowerCase() === name)?.[1];
}

/** A copy in which `replace` has replaced every secret. */
function replaceSecrets(value: Json, replace: (path: readonly string[], value: Json) => Json): Json {
  const visit = (schema: z.core.$ZodType, here: Json, path: readonly string[]): Json => {
    const secret = metadataOf(schema).secret === true;
    if (!isJsonObject(here)) return secret ? replace(path, here) : here;
    const inner = innerSchema(schema);
    return objectFrom(
      Object.entries(here).map(([key, entry]): [string, Json] => {
        if (secret) {
          return [key, PUBLIC_ENTRIES.has(key.toLowerCase()) ? entry : replace([...path, key], entry)];
        }
        const child =
          inner instanceof z.ZodObject && Object.hasOwn(inner.shape, key) ? inner.shape[key] : undefined;
        return [key, child === undefined ? entry : visit(child, entry, [...path, key])];
      }),
    );
  };
  return visit(Config, value, []);
}
