#!/usr/bin/env node
/** The command `failover-coordinator`: reads its words, does one thing, and ends with a code that says how. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { type Command, Disappointment, UsageError } from "./cli/command.ts";
import { COMMANDS } from "./cli/commands.ts";
import { Printer } from "./cli/printer.ts";
import { ConnectionError, DistributedCoordinator, FailoverError, UnauthorizedError } from "./index.ts";

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

const CODES = { done: 0, failed: 1, usage: 2, refused: 3, forbidden: 4 } as const;

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
  if (command === undefined)
    throw new UsageError(`there is no command ${name}; see failover-coordinator --help`);
  const { values, positionals } = parseWords(command, rest);
  if (values.help === true) {
    process.stdout.write(helpOf(command));
    return CODES.done;
  }
  const [fewest, most] = command.arity;
  if (positionals.length < fewest || positionals.length > most) throw new UsageError(usageOf(command));
  const { FAILOVER_URL, URL: url, FAILOVER_TOKEN, ADMIN_TOKEN, FAILOVER_CLUSTER } = process.env;
  const coordinator = new DistributedCoordinator({
    url: text(values.url) ?? FAILOVER_URL ?? url,
    token: text(values.token) ?? FAILOVER_TOKEN ?? ADMIN_TOKEN,
    cluster: text(values.cluster) ?? FAILOVER_CLUSTER,
    // Whoever looks at a terminal is soon told that nobody answers.
    retries: 2,
  });
  await command.run({
    coordinator,
    words: positionals,
    options: values,
    printer: new Printer(values.json === true),
  });
  return CODES.done;
}

function parseWords(command: Command, words: string[]) {
  try {
    return parseArgs({ args: words, options: { ...GENERAL, ...command.options }, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

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
  if (error instanceof Disappointment) return error.code;
  if (!(error instanceof FailoverError)) return CODES.failed;
  if (error.code === "invalid_request") return CODES.usage;
  if (error.status === 401 || error.status === 403) return CODES.forbidden;
  return error.status >= 400 && error.status < 500 ? CODES.refused : CODES.failed;
}

function saidOf(error: unknown): string {
  if (error instanceof UnauthorizedError)
    return `${error.message}; set --token, FAILOVER_TOKEN or ADMIN_TOKEN`;
  const isExpected = [UsageError, Disappointment, FailoverError, ConnectionError].some(
    (kind) => error instanceof kind,
  );
  if (isExpected && error instanceof Error) return error.message;
  if (error instanceof TypeError) return `the coordinator's answer is not understood: ${error.message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// Whoever reads no further, such as `head`, has had enough.
process.stdout.on("error", () => process.exit(CODES.done));
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${saidOf(error)}\n`);
  process.exitCode = codeOf(error);
}
