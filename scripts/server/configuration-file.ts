/**
 * Checks `configs/distributed_config.json` before the start, with the parser of the Worker, and finds the names of the
 * secrets in it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FieldError } from "../../src/contract/problem.ts";
import { parseConfigFile } from "../../src/validation/configuration/config-file.ts";
import { missingSecretWarnings } from "../../src/validation/configuration/missing-secrets.ts";
import { secretNamesIn } from "../../src/validation/configuration/secrets.ts";
import { fieldErrors } from "../../src/validation/schema-issues.ts";
import { done, type Outcome, refuse } from "./outcome.ts";

export const CONFIGURATION_FILE = "distributed_config.json";

export type ConfigurationFile = {
  path: string;
  secretNames: string[];
  /** Values that are valid but probably wrong. */
  warnings: string[];
};

/** @param isKnown whether the environment has a secret of that name */
export function readConfigurationFile(
  root: string,
  isKnown: (name: string) => boolean,
): Outcome<ConfigurationFile> {
  const path = join(root, "configs", CONFIGURATION_FILE);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return refuse("badSettings", `${path}: ${error instanceof Error ? error.message : error}`);
  }
  const shown = (entry: FieldError) =>
    [path, entry.path, entry.message].filter((part) => part !== "").join(": ");
  const parsed = parseConfigFile(text);
  if (!parsed.ok) return refuse("badSettings", ...parsed.errors.map(shown));
  const missing = fieldErrors(missingSecretWarnings(parsed.config, isKnown));
  const warnings = [...parsed.warnings, ...missing].map(shown);
  return done({ path, secretNames: secretNamesIn(text), warnings });
}
