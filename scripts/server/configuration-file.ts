/**
 * `configs/distributed_config.json` as the run commands see it: checked before anything starts, by
 * the parser that the Worker uses, and searched for the secrets that it names.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FieldError } from "../../src/contract/problem.ts";
import { parseConfigFile } from "../../src/validation/configuration/config-file.ts";
import { secretNamesIn } from "../../src/validation/configuration/secrets.ts";
import { done, type Outcome, refuse } from "./exit-codes.ts";

export const CONFIGURATION_FILE = "distributed_config.json";

export type ConfigurationFile = {
  path: string;
  secretNames: string[];
  /** Legal, but hardly meant. */
  warnings: string[];
};

export function readConfigurationFile(root: string): Outcome<ConfigurationFile> {
  const path = join(root, "configs", CONFIGURATION_FILE);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return refuse("badSettings", `${path}: ${error instanceof Error ? error.message : error}`);
  }
  const told = (entry: FieldError) =>
    [path, entry.path, entry.message].filter((part) => part !== "").join(": ");
  const parsed = parseConfigFile(text);
  if (!parsed.ok) return refuse("badSettings", ...parsed.errors.map(told));
  return done({ path, secretNames: secretNamesIn(text), warnings: parsed.warnings.map(told) });
}
