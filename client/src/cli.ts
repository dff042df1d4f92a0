#!/usr/bin/env node
/** The command `failover-coordinator`: reads its words, does one thing, and ends with a code that says how. */
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

const GENERAL_HELP = `options of every command:
  --url URL          where the coordinator answers (FAILOVER_URL, URL; http://127.0.0.1:8787)
  --token TOKEN      FAILOVER_TOKEN, ADMIN_TOKEN
  --cluster CLUSTER  FAILOVER_CLUSTER; default
  --json             for programs: what the coordinator answered, as JSON
  --help

ends with: 0 done, 1 no answer or an error over there, 2 wrong words, 3 refused or not found, 4 not allowed,
5 the task that was waited for failed or was cancelled, 6 it goes on
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
    const hint = near === undefined ? "" : ` (near: ${near.name})`;
    throw new UsageError(`there is no command ${name}${hint}; see --help`);
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
  // Whoever looks at a terminal is soon told that nobody answers.
  const coordinator = connected({ url, token, cluster, retries: 2 });
  try {
    await command.run({ coordinator, cluster, words: positionals, options: values, printer });
  } catch (error) {
    if (isExpected(error)) throw error;
    const said = `${url} did not answer like a coordinator: ${messageOf(error)}`;
    throw new CommandFailure(said, CODES.failed, { cause: error });
  }
  return CODES.done;
}

/** @throws {UsageError} nobody can be reached so */
function connected(options: ClientOptions): DistributedCoordinator {
  try {
    return new DistributedCoordinator(options);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** Letters too many, missing or others in a command that is known all the same. */
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
    // A negative number is a value: whoever reads it says what is wrong with it.
    if (/^-\d/.test(word) && /^--\w[^=]*$/.test(last)) args.splice(-1, 1, `${last}=${word}`);
    else args.push(word);
  }
  try {
    return parseArgs({ args, options: { ...GENERAL, ...command.options }, allowPositionals: true });
  } catch (error) {
    // Node's own words take three lines.
    const said = messageOf(error);
    const option = /'([^' ]+)/.exec(said)?.[1];
    if (/^Unknown/.test(said))
      throw new UsageError(`there is no option ${option}; see ${command.name} --help`);
    throw new UsageError(/ambiguous|missing/.test(said) ? `${option} needs a value` : said);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

const text = (value: unknown) => (typeof value === "string" ? value : undefined);

const usageOf = ({ name, usage }: Command) => `usage: failover-coordinator ${`${name} ${usage}`.trim()}`;

const helpOf = (command: Command) =>
  `${usageOf(command)}\n\n${command.summary}\n${command.help ?? ""}\n${GENERAL_HELP}`;

function overview(): string {
  const rows = COMMANDS.map(({ name, usage, summary }) => `  ${`${name} ${usage}`.padEnd(38)} ${summary}`);
  return `usage: failover-coordinator COMMAND\n\n${rows.join("\n")}\n\n${GENERAL_HELP}`;
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

/** All else is a bug, or was answered by something that is no coordinator. */
function isExpected(error: unknown): boolean {
  if (error instanceof FailoverError) return error.code !== "unknown" || isForbidden(error);
  return [UsageError, CommandFailure, ConnectionError].some((kind) => error instanceof kind);
}

function saidOf(error: unknown): string {
  if (!isExpected(error)) return `unexpected: ${messageOf(error)}`;
  const isUnknown = error instanceof FailoverError && error.status === 401;
  return messageOf(error) + (isUnknown ? "; give --token or FAILOVER_TOKEN" : "");
}

// Whoever reads no further, such as `head`, has had enough.
process.stdout.on("error", () => process.exit(CODES.done));
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  new Printer(false).warn(saidOf(error));
  if (process.env.DEBUG) console.error(error);
  process.exitCode = codeOf(error);
}
