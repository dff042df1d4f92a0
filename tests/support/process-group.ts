/**
 * A program as a process group of its own, with its output so far. `await using` ends the whole group however the
 * test ends; so does the end of the test run if a worker of the test runner crashes.
 */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { groupEnd, killGroup, register, unregister } from "./groups.ts";
import { PROJECT_ROOT } from "./server.ts";
import { Stream } from "./stream.ts";

/** For a program that has to start and answer on a busy machine. */
const TIME_LIMIT_MS = 30_000;

export type ProcessGroupOptions = {
  /** The working directory, by default the project. */
  readonly cwd?: string;
  readonly env: NodeJS.ProcessEnv;
};

export class ProcessGroup implements AsyncDisposable {
  /** The id of the main process, and so of the group. */
  readonly pid: number;
  /** The exit code, null after a signal; resolves once all output was read. */
  readonly ended: Promise<number | null>;
  readonly #exited: Promise<number | null>;
  readonly #chunks = new Stream<string>();

  constructor(command: string, words: readonly string[], { cwd = PROJECT_ROOT, env }: ProcessGroupOptions) {
    const child = spawn(command, words, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    if (child.pid === undefined) throw new Error(`${command} could not be started`);
    this.pid = child.pid;
    register(this.pid);
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding("utf8").on("data", (chunk: string) => this.#chunks.add(chunk));
    }
    this.#exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    this.ended = new Promise((resolve) => child.once("close", (code) => resolve(code)));
  }

  /** The output on stdout and stderr. */
  output(): string {
    return this.#chunks.items.join("");
  }

  count(text: RegExp): number {
    return [...this.output().matchAll(new RegExp(text, `${text.flags}g`))].length;
  }

  /** Resolves when the output contains that text so many times. */
  async said(text: RegExp, times = 1): Promise<void> {
    const hasSaid = () => this.count(text) >= times;
    const over = new AbortController();
    const late = delay(TIME_LIMIT_MS, null, { signal: over.signal }).catch(() => null);
    await Promise.race([this.#chunks.first(hasSaid), this.ended, late]);
    over.abort();
    if (!hasSaid()) throw new Error(`it did not say ${text}; it said:\n${this.output()}`);
  }

  /** Sends a signal to the main process alone. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Sends a signal to the whole group, as a terminal does. */
  signalAll(name: NodeJS.Signals): void {
    process.kill(-this.pid, name);
  }

  /** @returns the exit code, once the whole group has ended */
  async gone(): Promise<number | null> {
    await this.#exited;
    await groupEnd(this.pid);
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killGroup(this.pid);
    await this.ended;
    unregister(this.pid);
  }
}
