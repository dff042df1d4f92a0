/** The text bindings of the Worker, and the source of each. */

import type { Secrets } from "./local-secrets.ts";
import { done, type Outcome, refuse } from "./outcome.ts";
import { SETTINGS, type Settings } from "./settings.ts";

export type VariableSources = {
  settings: Settings;
  secrets: Secrets;
  /** The address of the server. */
  origin: string;
  /** New at each start, so that an object can tell a start from an eviction. */
  bootId: string;
  /** Names of the variables in `.dev.vars`. */
  devVarNames: readonly string[];
  /** Names of secrets in the configuration file. */
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

/** The variables as a dotenv file for wrangler, which removes the quotes and then expands `$`. */
export function variablesFile(variables: Readonly<Record<string, string>>): Outcome<string> {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(variables)) {
    // In double quotes, dotenv turns \n into a line break.
    const quote = ["'", "`", ...(value.includes("\\") ? [] : ['"'])].find((mark) => !value.includes(mark));
    if (quote === undefined) {
      return refuse(
        "badSettings",
        `${name} contains quotes and backslashes that wrangler cannot read together; choose another value`,
      );
    }
    lines.push(`${name}=${quote}${value.replaceAll("$", "\\$")}${quote}`);
  }
  return done(`${lines.join("\n")}\n`);
}
