/** Finds the command that the arguments name, and parses the rest of them. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { type Command, type Option, UsageError } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { CALL, membersOf, seeHelp } from "./help.ts";

const GENERAL: Record<string, Omit<Option, "help">> = {
  url: { type: "string" },
  token: { type: "string" },
  "token-file": { type: "string" },
  cluster: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
};

/** At most so many letters may be wrong in a name that is suggested. */
const TYPING_ERRORS = 2;

/** @returns the command that the first one or two words name, and the words behind its name */
export function findCommand(words: readonly string[]): { command: Command; rest: string[] } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    const command = COMMANDS.find((one) => one.name === name);
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  const [name = ""] = words;
  const members = membersOf(name);
  if (members.length > 0) throw new UsageError(`choose one of: ${members.map((one) => one.name).join(", ")}`);
  const list = `Run ${CALL} --help for the list.`;
  if (name.startsWith("-"))
    throw new UsageError(`options follow the name of a command, such as: status ${name}. ${list}`);
  const near = COMMANDS.find((one) => isNear(one.name, name, TYPING_ERRORS));
  const hint = near === undefined ? "." : `; did you mean "${near.name}"?`;
  throw new UsageError(`unknown command "${name}"${hint} ${list}`);
}

/** Whether the word is the first one of several commands, and no command itself. */
export const isGroup = (word: string) =>
  membersOf(word).length > 0 && !COMMANDS.some(({ name }) => name === word);

function isNear(a: string, b: string, errors: number): boolean {
  if (a === "" || b === "") return a.length + b.length <= errors;
  if (a[0] === b[0]) return isNear(a.slice(1), b.slice(1), errors);
  if (errors === 0) return false;
  const left = errors - 1;
  return isNear(a.slice(1), b, left) || isNear(a, b.slice(1), left) || isNear(a.slice(1), b.slice(1), left);
}

export function parseWords(command: Command, words: readonly string[]) {
  const args: string[] = [];
  for (const word of words) {
    const last = args.at(-1) ?? "";
    // A negative number is a value, not an option: the command then rejects it with a better message.
    if (/^-\d/.test(word) && /^--\w[^=]*$/.test(last)) args.splice(-1, 1, `${last}=${word}`);
    else args.push(word);
  }
  try {
    const options = { ...GENERAL, ...command.options } as ParseArgsOptionsConfig;
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    // Node's message takes three lines.
    const message = error instanceof Error ? error.message : String(error);
    const option = /'([^' ]+)/.exec(message)?.[1];
    if (/^Unknown/.test(message)) throw new UsageError(`unknown option ${option}`, ...seeHelp(command));
    throw new UsageError(/ambiguous|missing/.test(message) ? `${option} requires a value` : message);
  }
}

/** @throws {UsageError} an argument is missing, or there are too many */
export function checkCount(command: Command, words: readonly string[]): void {
  const wanted = command.args?.split(" ") ?? [];
  const required = wanted.filter((name) => !name.startsWith("["));
  const missing = required.slice(words.length).map((name) => name.replace("...", ""));
  const wrong = (what: string) => new UsageError(what, ...seeHelp(command));
  if (missing.length > 0)
    throw wrong(`${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} missing`);
  const extra = wanted.some((name) => name.includes("...")) ? [] : words.slice(wanted.length);
  if (extra.length > 0) throw wrong(`too many arguments: ${extra.join(" ")}`);
}
