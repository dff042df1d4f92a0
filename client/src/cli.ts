#!/usr/bin/env node
/** The command `failover-coordinator`: parses its arguments, runs one command, and exits with a code that says how it ended. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { CODES, type Command, CommandFailure, UsageError } from "./cli/command.ts";
import { COMMANDS } from "./cli/commands.ts";
import { Printer } from "./cli/printer.ts";
import { type ClientOptions, ConnectionError, DistributedCoordinator, FailoverError } from "./index.ts";

declare const CLIENT_VERSION: string | undefined;

const GENERAL = {
  url: { type: "string" },
  token: { type: "string" },
  cluster: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const satisfies ParseArgsOptionsConfig;

const GENERAL_HELP = `Options of every command:
  --url URL          Address of the coordinator (env FAILOVER_URL or URL, default http://127.0.0.1:8787)
  --token TOKEN      Access token (env FAILOVER_TOKEN or ADMIN_TOKEN)
  --cluster CLUSTER  Cluster to use (env FAILOVER_CLUSTER, default "default")
  --json             Print the coordinator's response as JSON
  --help             Show this help

Exit codes: 0 success, 1 server unreachable or server error, 2 usage error, 3 refused or not found,
4 not permitted, 5 the task failed or was cancelled, 6 the task has not ended yet
`;

async function run(words: string[]): Promise<number> {
  const [name = "", ...rest] = words;
  if (["", "help", "--help", "-h"].includes(name)) {
    process.stdout.write(overview());
    return name === "" ? CODES.usage : CODES.done;
  }
  if (name === "--version") {
    process.stdout.write(`${typeof CLIENT_VERSION === "string" ? CLIENT_VERSION : "development"}\n`);
    return CODES.done;
  }
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const near = COMMANDS.find((one) => isNear(one.name, name, TYPING_ERRORS));
    const hint = near === undefined ? "." : `; did you mean "${near.name}"?`;
    throw new UsageError(`unknown command "${name}"${hint} Run failover-coordinator --help for the list.`);
  }
  const { values, positionals } = parseWords(command, rest);
  if (values.help === true) {
    process.stdout.write(helpOf(command));
    return CODES.done;
  }
  const [fewest, most] = command.arity;
  if (positionals.length < fewest || positionals.length > most) throw new UsageError(usageOf(command));
  const { FAILOVER_URL, URL: URL_, FAILOVER_TOKEN, ADMIN_TOKEN, FAILOVER_CLUSTER } = process.env;
  const url = text(values.url) || FAILOVER_URL || URL_ || "http://127.0.0.1:8787";
  const cluster = text(values.cluster) ?? FAILOVER_CLUSTER ?? "default";
  const printer = new Printer(values.json === true);
  const token = text(values.token) ?? FAILOVER_TOKEN ?? ADMIN_TOKEN;
  // A person at a terminal should learn soon that the server does not respond.
  const coordinator = connected({ url, token, cluster, retries: 2 });
  try {
    await command.run({ coordinator, cluster, words: positionals, options: values, printer });
  } catch (error) {
    if (isExpected(error)) throw error;
    const message = `unexpected response: ${url} is not a failover coordinator (${messageOf(error)})`;
    throw new CommandFailure(message, CODES.failed, { cause: error });
  }
  return CODES.done;
}

/** @throws {UsageError} an option of the client is not valid */
function connected(options: ClientOptions): DistributedCoordinator {
  try {
    return new DistributedCoordinator(options);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** At most so many letters may be wrong in a name that is suggested. */
const TYPING_ERRORS = 2;

function isNear(a: string, b: string, errors: number): boolean {
  if (a === "" || b === "") return a.length + b.length <= errors;
  if (a[0] === b[0]) return isNear(a.slice(1), b.slice(1), errors);
  if (errors === 0) return false;
  const left = errors - 1;
  return isNear(a.slice(1), b, left) || isNear(a, b.slice(1), left) || isNear(a.slice(1), b.slice(1), left);
}

function parseWords(command: Command, words: string[]) {
  const args: string[] = [];
  for (const word of words) {
    const last = args.at(-1) ?? "";
    // A negative number is a value, not an option: the command then rejects it with a better message.
    if (/^-\d/.test(word) && /^--\w[^=]*$/.test(last)) args.splice(-1, 1, `${last}=${word}`);
    else args.push(word);
  }
  try {
    return parseArgs({ args, options: { ...GENERAL, ...command.options }, allowPositionals: true });
  } catch (error) {
    // Node's message takes three lines.
    const message = messageOf(error);
    const option = /'([^' ]+)/.exec(message)?.[1];
    if (/^Unknown/.test(message)) {
      throw new UsageError(
        `unknown option ${option}. Run failover-coordinator ${command.name} --help for the list.`,
      );
    }
    throw new UsageError(/ambiguous|missing/.test(message) ? `${option} requires a value` : message);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

const text = (value: unknown) => (typeof value === "string" ? value : undefined);

const usageOf = ({ name, usage }: Command) => `Usage: failover-coordinator ${`${name} ${usage}`.trim()}`;

const helpOf = (command: Command) =>
  `${usageOf(command)}\n\n${command.summary}\n${command.help ?? ""}\n${GENERAL_HELP}`;

function overview(): string {
  const rows = COMMANDS.map(({ name, usage, summary }) => `  ${`${name} ${usage}`.padEnd(38)} ${summary}`);
  return `Usage: failover-coordinator COMMAND\n\nCommands:\n${rows.join("\n")}\n\n${GENERAL_HELP}`;
}

function codeOf(error: unknown): number {
  if (error instanceof UsageError) return CODES.usage;
  if (error instanceof CommandFailure) return error.code;
  if (!(error instanceof FailoverError)) return CODES.failed;
  if (error.code === "invalid_request") return CODES.usage;
  if (isForbidden(error)) return CODES.forbidden;
  return error.status >= 400 && error.status < 500 ? CODES.refused : CODES.failed;
}

const isForbidden = ({ status }: FailoverError) => status === 401 || status === 403;

/** Any other error is a bug, or the response of a server that is not a coordinator. */
function isExpected(error: unknown): boolean {
  if (error instanceof FailoverError) return error.code !== "unknown" || isForbidden(error);
  return [UsageError, CommandFailure, ConnectionError].some((kind) => error instanceof kind);
}

function describe(error: unknown): string {
  if (!isExpected(error)) return `unexpected error: ${messageOf(error)}`;
  const isUnauthorized = error instanceof FailoverError && error.status === 401;
  return messageOf(error) + (isUnauthorized ? "; set --token or FAILOVER_TOKEN" : "");
}

// A reader such as `head` may close the pipe early: that is no error.
process.stdout.on("error", () => process.exit(CODES.done));
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  new Printer(false).warn(describe(error));
  if (process.env.DEBUG) console.error(error);
  process.exitCode = codeOf(error);
}
