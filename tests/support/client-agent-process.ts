/** `client-agent.ts` as a process, with its output so far. `await using` ends it however the test ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { AgentOptions } from "../../client/src/index.ts";
import { Stream } from "./stream.ts";

const PROGRAM = join(import.meta.dirname, "client-agent.ts");

export type Said = { what: string; task: string | null; attempt: number | null };

export class ClientAgentProcess implements AsyncDisposable {
  readonly said = new Stream<Said>();
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;

  static async start(
    options: Omit<AgentOptions, "fetch" | "load"> & { workMs: number },
  ): Promise<ClientAgentProcess> {
    const agent = new ClientAgentProcess(options);
    await agent.hear("started");
    return agent;
  }

  private constructor(options: object) {
    this.#child = spawn(process.execPath, [PROGRAM, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.stdout === null) throw new Error("the agent has no stdout");
    createInterface(this.#child.stdout).on("line", (line) => this.said.add(JSON.parse(line) as Said));
  }

  /** The first such report, about the named task if one is given. */
  async hear(what: string, task?: string): Promise<Said> {
    const isIt = (said: Said) => said.what === what && (task === undefined || said.task === task);
    const found = await Promise.race([this.said.first(isIt), this.#closed.then(() => null)]);
    if (found === null) throw new Error(`the agent ended before it said "${what}"`);
    return found;
  }

  /** Makes the agent leave. @returns its exit code, null after a signal */
  async terminate(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.#closed;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
