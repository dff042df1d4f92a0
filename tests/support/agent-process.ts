/**
 * Agents of tests. One is a process with its output so far: `await using` ends it however the test ends, and it also
 * ends by itself when the test runner crashes. The other is only registered.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { descendantsOf } from "../../scripts/server/process-tree.ts";
import type { AgentReport, AgentSettings } from "./agent-program.ts";
import type { ClusterClient } from "./cluster-client.ts";
import { Stream } from "./stream.ts";

const PROGRAM = join(import.meta.dirname, "agent-program.ts");

const DEFAULTS: Omit<AgentSettings, "clusterUrl" | "id" | "joinToken"> = {
  group: "default",
  capabilities: ["work"],
  maxConcurrentTasks: 10,
  heartbeatIntervalMs: 250,
  heartbeatTimeoutMs: 1000,
  takesUpTasks: false,
  lock: null,
  comesBack: true,
};

type Report<Type extends AgentReport["type"]> = Extract<AgentReport, { type: Type }>;

export class AgentProcess implements AsyncDisposable {
  readonly id: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<undefined>;
  readonly #reports = new Stream<AgentReport>();

  /** Resolves when the agent is registered. */
  static async start(
    cluster: ClusterClient,
    settings: Partial<AgentSettings> & { id: string },
  ): Promise<AgentProcess> {
    const agent = new AgentProcess({
      ...DEFAULTS,
      clusterUrl: cluster.url,
      joinToken: cluster.adminToken,
      ...settings,
    });
    await agent.said("registered");
    return agent;
  }

  private constructor(settings: AgentSettings) {
    this.id = settings.id;
    this.#child = spawn(process.execPath, [PROGRAM, JSON.stringify(settings)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve(undefined)));
    if (this.#child.stdout === null) throw new Error("the agent has no stdout");
    createInterface(this.#child.stdout).on("line", (line) => {
      this.#reports.add(JSON.parse(line) as AgentReport);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All reports of one type so far. */
  reports<Type extends AgentReport["type"]>(type: Type): Report<Type>[] {
    return this.#reports.items.filter((report): report is Report<Type> => report.type === type);
  }

  /** The first report of that type that matches, now or later. */
  async said<Type extends AgentReport["type"]>(
    type: Type,
    fits: (report: Report<Type>) => boolean = () => true,
  ): Promise<Report<Type>> {
    const isIt = (report: AgentReport): report is Report<Type> =>
      report.type === type && fits(report as Report<Type>);
    const found = await Promise.race([this.#reports.first(isIt), this.#closed]);
    if (found === undefined) throw new Error(`${this.id} ended before it said "${type}"`);
    return found as Report<Type>;
  }

  /** The first heartbeat that was sent at `atMs` or later and acknowledged. */
  beatSince(atMs: number): Promise<Report<"beat">> {
    return this.said("beat", ({ sentAtMs }) => sentAtMs >= atMs);
  }

  /** The time of the last acknowledged heartbeat. */
  get lastBeatSentAtMs(): number {
    return this.reports("beat").at(-1)?.sentAtMs ?? 0;
  }

  signal(name: "SIGSTOP" | "SIGCONT" | "SIGUSR2"): void {
    this.#child.kill(name);
  }

  /** SIGKILL; resolves when the process has ended and all its output was read. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** Longer than any test takes. */
const FOREVER_SECONDS = 3600;

/**
 * An agent that stays active without a process: its timeout is longer than any test.
 * @returns the token of its incarnation
 */
export async function registerIdleAgent(
  cluster: ClusterClient,
  id: string,
  settings: { group?: string; capabilities?: readonly string[]; max_concurrent_tasks?: number } = {},
): Promise<string> {
  const { group = "default", ...wishes } = settings;
  const { token } = await cluster.ask<{ token: string }>("PUT", `/groups/${group}/agents/${id}`, {
    type: "test-agent",
    capabilities: ["work"],
    heartbeat_timeout_seconds: FOREVER_SECONDS,
    ...wishes,
  });
  return token;
}

/** To be called after each test. A server waits for its whole process group, so its end needs no check here. */
export function expectNoAgentLeft(): void {
  const left = descendantsOf(process.pid);
  if (left.length > 0) throw new Error(`left over: ${left.map(({ pid }) => pid).join(", ")}`);
}
