/**
 * A worker as a process group of its own. A line gets its time here when it arrives, so all systems share one clock.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { killGroup, register, unregister } from "../../tests/support/groups.ts";
import type { WorkerCommand } from "./system.ts";

type Line = { text: string; atMs: number };

export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #pid: number;
  readonly #lines: Line[] = [];
  readonly #arrivals = new EventTarget();

  constructor({ program, words, env = {} }: WorkerCommand) {
    this.#child = spawn(program, words, {
      detached: true,
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    this.#pid = this.#child.pid ?? 0;
    if (this.#pid === 0) throw new Error(`${program} could not be started`);
    register(this.#pid);
    if (this.#child.stdout === null) throw new Error(`${program} has no output`);
    createInterface(this.#child.stdout).on("line", (text) => {
      this.#lines.push({ text, atMs: performance.now() });
      this.#arrivals.dispatchEvent(new Event("line"));
    });
  }

  /** The first line that begins with a text, once it has arrived. */
  async line(start: string, limitMs: number): Promise<Line> {
    const limit = AbortSignal.timeout(limitMs);
    for (;;) {
      const found = this.#lines.find(({ text }) => text.startsWith(start));
      if (found !== undefined) return found;
      await once(this.#arrivals, "line", { signal: limit });
    }
  }

  /** All lines so far that begin with a text. */
  linesWith(start: string): string[] {
    return this.#lines.filter(({ text }) => text.startsWith(start)).map(({ text }) => text);
  }

  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  signal(name: NodeJS.Signals): void {
    process.kill(-this.#pid, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killGroup(this.#pid);
    unregister(this.#pid);
  }
}
