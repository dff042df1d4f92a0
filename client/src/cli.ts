#!/usr/bin/env node
/** The command `failover-coordinator`: parses its arguments, runs one command, and exits with a code that says how it ended. */
import { checkCount, findCommand, isGroup, parseWords } from "./cli/arguments.ts";
import { CommandFailure, text, UsageError } from "./cli/command.ts";
import { CODES } from "./cli/exit-codes.ts";
import { helpOf, membersOf, overview } from "./cli/help.ts";
import { Printer } from "./cli/printer.ts";
import { tokenOf } from "./cli/token.ts";
import { type ClientOptions, ConnectionError, DistributedCoordinator, FailoverError } from "./index.ts";

declare const CLIENT_VERSION: string | undefined;

async function run(given: string[]): Promise<number> {
  const [name = ""] = given;
  const isHelp = name === "help" || isHelpFlag(name);
  if (name === "" || (isHelp && given.length === 1)) {
    process.stdout.write(overview());
    return name === "" ? CODES.usage : CODES.done;
  }
  if (name === "--version") {
    process.stdout.write(`${typeof CLIENT_VERSION === "string" ? CLIENT_VERSION : "development"}\n`);
    return CODES.done;
  }
  // `help config get` is `config get --help`.
  const words = isHelp ? [...given.slice(1), "--help"] : given;
  const [group = "", flag = "", ...others] = words;
  if (isHelpFlag(flag) && others.length === 0 && isGroup(group)) {
    process.stdout.write(overview(membersOf(group)));
    return CODES.done;
  }
  const { command, rest } = findCommand(words);
  const { values, positionals } = parseWords(command, rest);
  if (values.help === true) {
    process.stdout.write(helpOf(command));
    return CODES.done;
  }
  checkCount(command, positionals);
  const { FAILOVER_URL, URL: URL_, FAILOVER_CLUSTER } = process.env;
  const url = text(values.url) || FAILOVER_URL || URL_ || "http://127.0.0.1:8787";
  const cluster = text(values.cluster) ?? FAILOVER_CLUSTER ?? "default";
  const printer = new Printer(values.json === true);
  const token = tokenOf(values, process.env, (line) => printer.warn(line));
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

const isHelpFlag = (word: string) => word === "--help" || word === "-h";

/** @throws {UsageError} an option of the client is not valid */
function connected(options: ClientOptions): DistributedCoordinator {
  try {
    return new DistributedCoordinator(options);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

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
  // The errors follow in the message.
  const message = messageOf(error).replace("; see errors", "");
  if (isUnauthorized) return `${message}; set FAILOVER_TOKEN or use --token-file`;
  const isUnanswered = error instanceof ConnectionError && !message.includes("not a failover coordinator");
  return isUnanswered ? `${message}; is the coordinator running? Check --url or FAILOVER_URL` : message;
}

// A reader such as `head` may close the pipe early: that is no error.
process.stdout.on("error", () => process.exit(CODES.done));
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const printer = new Printer(false);
  for (const line of [describe(error), ...(error instanceof UsageError ? error.more : [])])
    printer.warn(line);
  if (process.env.DEBUG) console.error(error);
  process.exitCode = codeOf(error);
}
