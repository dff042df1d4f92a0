/** Where the command takes its token from: a file, the environment, or, deprecated, an argument. */
import { readFileSync } from "node:fs";
import { type Invocation, text, UsageError } from "./command.ts";

const DEPRECATED =
  "warning: --token is deprecated, because other users of the machine can read it; set FAILOVER_TOKEN or use --token-file";

/** @throws {UsageError} the file has no token, or two options name one */
export function tokenOf(
  options: Invocation["options"],
  env: Readonly<Record<string, string | undefined>>,
  warn: (line: string) => void,
): string | undefined {
  const given = text(options.token);
  const file = text(options["token-file"]);
  if (given !== undefined && file !== undefined)
    throw new UsageError("use --token-file or --token, not both");
  if (file !== undefined) return tokenIn(file);
  if (given !== undefined) warn(DEPRECATED);
  return given ?? env.FAILOVER_TOKEN ?? env.ADMIN_TOKEN;
}

function tokenIn(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`--token-file: ${error instanceof Error ? error.message : error}`);
  }
  // A file of several lines, such as secrets.json, is not a token.
  if (/^\S+$/.test(token)) return token;
  throw new UsageError(`--token-file: ${file} must contain the token and nothing else`);
}
