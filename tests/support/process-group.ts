/**
 * A program as a process group of its own, with what it said so far. `await using` ends the whole group however the
 * test ends; so does the end of the test run, should a worker of the test runner die.
 */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { groupEnd, killGroup, register, unregister } from "./groups.ts";
import { PROJECT_ROOT } from "./server.ts";
import { Stream } from "./stream.ts";

/** For a program that has to start and to be answered, on a busy machine. */
const PATIENCE_MS = 30_000;

export type ProcessGroupOptions = {
  /** The project, unless told otherwise. */
  readonly cwd?: string;
  readonly env: NodeJS.ProcessEnv;
};

export class ProcessGroup implements AsyncDisposable {
  /** Of its main process, and so of its group. */
  readonly pid: number;
  /** Its exit code, null after a signal; once all that it said was read. */
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

  /** On stdout and stderr. */
  output(): string {
    return this.#chunks.items.join("");
  }

  count(text: RegExp): number {
    return [...this.output().matchAll(new RegExp(text, `${text.flags}g`))].length;
  }

  /** Resolves when it has said that so many times. */
  async said(text: RegExp, times = 1): Promise<void> {
    const hasSaid = () => this.count(text) >= times;
    const over = new AbortController();
    const late = delay(PATIENCE_MS, null, { signal: over.signal }).catch(() => null);
    await Promise.race([this.#chunks.first(hasSaid), this.ended, late]);
    over.abort();
    if (!hasSaid()) throw new Error(`it did not say ${text}; it said:\n${this.output()}`);
  }

  /** To its main process alone. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** To all of it, as a terminal does it. */
  signalAll(name: NodeJS.Signals): void {
    process.kill(-this.pid, name);
  }

  /** @returns its exit code, once nothing of it is left */
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
