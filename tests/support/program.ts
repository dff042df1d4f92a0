/**
 * A program of the tests as a process of its own: it reads one line of JSON from stdin, and reports what it
 * did, one JSON line each. The process ends when its stdin ends. `await using` ends it however the test ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Stream } from "./stream.ts";

export class Program<Said> implements AsyncDisposable {
  readonly said = new Stream<Said>();
  readonly #child: ChildProcess;
  readonly #closed: Promise<null>;

  /** @param file in this folder @param settings for its stdin, of any length, unlike arguments */
  constructor(file: string, settings: unknown) {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, file)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve(null)));
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error("the program has no pipes");
    stdin.on("error", () => {
      // The process ended before it had read its settings.
    });
    stdin.write(`${JSON.stringify(settings)}\n`);
    createInterface(stdout).on("line", (line) => this.said.add(JSON.parse(line) as Said));
  }

  /** The first report that matches, now or later. */
  async hear(fits: (said: Said) => boolean): Promise<Said> {
    const found = await Promise.race([this.said.first(fits), this.#closed]);
    if (found === null) throw new Error("the program ended before it said that");
    return found;
  }

  signal(name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    this.#child.kill(name);
  }

  /** SIGKILL; resolves when the process has ended and all its output was read. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** The settings that the parent process sent to this one, which ends with its parent. */
export async function settingsOfThisProgram<Settings>(): Promise<Settings> {
  const lines = createInterface(process.stdin);
  lines.on("close", () => process.exit(0));
  const line = await new Promise<string>((resolve) => lines.once("line", resolve));
  return JSON.parse(line) as Settings;
}

export function say(said: unknown): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
