/**
 * How wrangler is run here: the installed one, quietly. It reports nothing to anybody, asks nobody,
 * looks for no newer version of itself, and keeps its files in the data folder.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const wranglerPackage = require.resolve("wrangler/package.json");

/** To be run by Node. */
export const WRANGLER_SCRIPT = join(dirname(wranglerPackage), "bin", "wrangler.js");

/** The very workerd that wrangler was made for: its version bounds the compatibility date. */
export function workerdBinary(): string {
  const path: unknown = createRequire(wranglerPackage)("workerd").default;
  if (typeof path !== "string") throw new Error("the package workerd does not say where its binary is");
  return path;
}

export function wranglerEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  logDir: string,
): Record<string, string | undefined> {
  return {
    ...base,
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_NO_SKILLS_UPDATE_PROMPTS: "true",
    WRANGLER_LOG_PATH: logDir,
    // Else it fetches an example of `request.cf` from Cloudflare.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    // Its trace store takes a third of the speed.
    X_LOCAL_OBSERVABILITY: "false",
  };
}
