/**
 * Runs the installed wrangler without telemetry, questions or checks for a newer version. Its files are in the data
 * folder.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const wranglerPackage = require.resolve("wrangler/package.json");

/** A script for Node. */
export const WRANGLER_SCRIPT = join(dirname(wranglerPackage), "bin", "wrangler.js");

/** The workerd that this wrangler needs. Its version limits the compatibility date. */
export function workerdBinary(): string {
  const path: unknown = createRequire(wranglerPackage)("workerd").default;
  if (typeof path !== "string") throw new Error("the package workerd has no path of its binary");
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
    // Otherwise wrangler fetches an example of `request.cf` from Cloudflare.
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    // The trace store costs a third of the throughput.
    X_LOCAL_OBSERVABILITY: "false",
  };
}
