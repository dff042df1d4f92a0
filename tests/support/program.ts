/**
 * A program of the tests as a process of its own: told what to do by one line of JSON on its stdin, it says what it
 * did, one JSON line each. It ends when its stdin does. `await using` ends it however the test ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Stream } from "./stream.ts";

export class Program<Said> implements AsyncDisposable {
  readonly said = new Stream<Said>();
  readonly #child: ChildProcess;
  readonly #closed: Promise<null>;

  /** @param file in this folder @param settings for its stdin: of any length, as arguments are not */
  constructor(file: string, settings: unknown) {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, file)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve(null)));
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error("the program has no pipes");
    stdin.on("error", () => {
      // It ended before it was told everything.
    });
    stdin.write(`${JSON.stringify(settings)}\n`);
    createInterface(stdout).on("line", (line) => this.said.add(JSON.parse(line) as Said));
  }

  /** The first thing said that fits, said already or yet to come. */
  async hear(fits: (said: Said) => boolean): Promise<Said> {
    const found = await Promise.race([this.said.first(fits), this.#closed]);
    if (found === null) throw new Error("the program ended before it said that");
    return found;
  }

  signal(name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    this.#child.kill(name);
  }

  /** SIGKILL; resolves when it has ended and all it said was read. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** What this process was told by whoever started it; ends it when they do. */
export async function settingsOfThisProgram<Settings>(): Promise<Settings> {
  const lines = createInterface(process.stdin);
  lines.on("close", () => process.exit(0));
  const line = await new Promise<string>((resolve) => lines.once("line", resolve));
  return JSON.parse(line) as Settings;
}

export function say(said: unknown): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
