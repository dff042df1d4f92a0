/** What a command is, and the values of arguments and options that all commands share. */
import type { DistributedCoordinator, Listing, Page } from "../index.ts";
import { CODES } from "./exit-codes.ts";
import type { Printer } from "./printer.ts";

/** One call of a command with its parsed arguments. */
export type Invocation = {
  coordinator: DistributedCoordinator;
  /** Name of the cluster. */
  cluster: string;
  words: string[];
  options: Record<string, string | boolean | (string | boolean)[] | undefined>;
  printer: Printer;
};

/** An option as `parseArgs` takes it, with what the help says. */
export type Option = {
  type: "string" | "boolean";
  multiple?: boolean;
  short?: string;
  /** The name of its value. */
  value?: string;
  help: string;
};

export type Command = {
  /** One or two words. */
  name: string;
  /** Its arguments: `TASK` is required, `[KEY]` is not, `TASK...` may be repeated. */
  args?: string;
  summary: string;
  /** More about it, in whole lines. */
  details?: string;
  options?: Record<string, Option>;
  /** What follows the name, in one or two examples. */
  examples: readonly string[];
  run(invocation: Invocation): Promise<void>;
};

/** The command ran and did not succeed: the message goes to stderr, the code is the exit code. */
export class CommandFailure extends Error {
  readonly code: number;

  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The arguments are not valid; nothing was changed. `more`: lines that follow the message. */
export class UsageError extends Error {
  readonly more: readonly string[];

  constructor(message: string, ...more: string[]) {
    super(message);
    this.more = more;
  }
}

export const valued = (value: string, help: string): Option => ({ type: "string", value, help });
export const flag = (help: string): Option => ({ type: "boolean", help });
export const repeated = (value: string, help: string): Option => ({
  ...valued(value, `${help}; repeatable`),
  multiple: true,
});

export const text = (value: unknown) => (typeof value === "string" ? value : undefined);
export const list = (value: unknown) => (Array.isArray(value) ? value.map(String) : []);

export function number(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value === "" || !Number.isFinite(parsed)) throw new UsageError(`${name} must be a number`);
  if (parsed < 0) throw new UsageError(`${name} must be 0 or greater`);
  return parsed;
}

export function keyValue(pair: string): [string, string] {
  const at = pair.indexOf("=");
  if (at < 1) throw new UsageError(`${pair}: expected KEY=VALUE`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

export const LIMIT = { limit: valued("N", "Show at most N, newest first (default 50, at most 500)") };

/** One page of a list. The coordinator validates the values of the filter. */
export async function listPage<Item>(
  { options, printer }: Invocation,
  read: (page: { limit: number | undefined }) => Listing<Item>,
): Promise<Page<Item>> {
  const page = await read({ limit: number(options.limit, "--limit") });
  if (page.next_cursor && !printer.isJson)
    printer.warn(`only the newest ${page.items.length} are shown; --limit N shows more`);
  return page;
}

/** The check ran and found something. */
export const problem = (message: string) => new CommandFailure(message, CODES.problem);
