/**
 * The text bindings that the Worker gets, and from where each one comes. Pure.
 */

import { done, type Outcome, refuse } from "./exit-codes.ts";
import type { Secrets } from "./local-secrets.ts";
import { SETTINGS, type Settings } from "./settings.ts";

export type VariableSources = {
  settings: Settings;
  secrets: Secrets;
  /** Where it listens. */
  origin: string;
  /** New at every start, so that an object knows a start from an eviction. */
  bootId: string;
  /** Names in `.dev.vars`. */
  devVarNames: readonly string[];
  /** Names in the configuration file. */
  secretNames: readonly string[];
  /** Values by name. */
  variables: Readonly<Record<string, string>>;
};

export function workerVariables(sources: VariableSources): Record<string, string> {
  const own = {
    ADMIN_TOKEN: sources.secrets.adminToken,
    SIGNING_KEY: sources.secrets.signingKey,
    BOOT_ID: sources.bootId,
    ALLOW_LOCAL_TARGETS: String(sources.settings.allowLocalTargets),
    PUBLIC_URL: sources.settings.publicUrl ?? sources.origin,
    CORS_ORIGINS: sources.settings.corsOrigins.join(","),
  };
  const settingNames = new Set<string>(SETTINGS.map(({ name }) => name));
  const named = [...sources.devVarNames, ...sources.secretNames].flatMap((name) => {
    const value = Object.hasOwn(sources.variables, name) ? sources.variables[name] : undefined;
    return value === undefined || settingNames.has(name) ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(named), ...own };
}

/** The same as a file that wrangler reads, whose dotenv unquotes and then expands `$`. */
export function variablesFile(variables: Readonly<Record<string, string>>): Outcome<string> {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(variables)) {
    // Within double quotes, dotenv would make line breaks of \n.
    const quote = ["'", "`", ...(value.includes("\\") ? [] : ['"'])].find((mark) => !value.includes(mark));
    if (quote === undefined) {
      return refuse(
        "badSettings",
        `${name} holds a mix of quotes and backslashes that wrangler cannot read: choose another value`,
      );
    }
    lines.push(`${name}=${quote}${value.replaceAll("$", "\\$")}${quote}`);
  }
  return done(`${lines.join("\n")}\n`);
}
