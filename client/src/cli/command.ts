/** The type of a command, exit codes, and the parsing of arguments and options that all commands share. */
import type { ParseArgsOptionsConfig } from "node:util";
import type { DistributedCoordinator, Listing, Page } from "../index.ts";
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

export type Command = {
  name: string;
  usage: string;
  summary: string;
  help?: string;
  /** Minimum and maximum number of arguments after the name. */
  arity: readonly [number, number];
  options: ParseArgsOptionsConfig;
  run(invocation: Invocation): Promise<void>;
};

/** Exit codes. */
export const CODES = {
  ...{ done: 0, failed: 1, usage: 2, refused: 3, forbidden: 4 },
  ...{ failedTask: 5, unfinished: 6 },
} as const;

/** The command ran and did not succeed: the message goes to stderr, the code is the exit code. */
export class CommandFailure extends Error {
  readonly code: number;

  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The arguments are not valid; nothing was changed. */
export class UsageError extends Error {}

export const ANY = Number.POSITIVE_INFINITY;
export const string = { type: "string" } as const;

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

export const LIST_OPTIONS = { limit: string };
export const LIST_HELP = "  --limit N          Show at most N, newest first (default 50)\n";

/** One page of a list. The coordinator validates the values of the filters. */
export function listPage<Item>(
  options: Invocation["options"],
  read: (filter: object) => Listing<Item>,
): Promise<Page<Item>> {
  const { json: _json, help: _help, url: _url, token: _token, cluster: _cluster, limit, ...filter } = options;
  return read({ limit: number(limit, "--limit"), ...filter });
}
