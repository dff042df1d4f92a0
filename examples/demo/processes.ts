/**
 * The processes of the demo: its agents, and its server if it starts one. Each is a child process in the process group
 * of the demo. When the demo ends, all of them end, and the data folder is removed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { endDescendants, killDescendants } from "../../scripts/server/process-tree.ts";
import { NotSeen } from "./api.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** Building the Worker takes one or two seconds, more on a busy machine. */
const START_LIMIT_MS = 40_000;
/** Time for agents to unregister, and for the server to end. */
const LEAVE_LIMIT_MS = 3000;
const END_LIMIT_MS = 5000;
/** Lines of output that are printed if the demo fails. */
const LAST_LINES = 30;

export type OwnServer = { origin: string; adminToken: string };

export type AgentSettings = {
  id: string;
  type: string;
  capabilities: readonly string[];
  endpoint: string;
  lock?: string;
};

export type AgentEnvironment = {
  origin: string;
  adminToken: string;
  cluster: string;
  heartbeatIntervalSeconds: number;
  heartbeatTimeoutSeconds: number;
  workSeconds: number;
};

export class Processes {
  readonly #output: string[] = [];
  readonly #agents = new Set<ChildProcess>();
  readonly #echo: boolean;
  #dataDir: string | null = null;
  #end: Promise<void> | null = null;

  /** @param echo whether to print the output of agents and server at once */
  constructor(echo: boolean) {
    this.#echo = echo;
    process.once("exit", () => {
      killDescendants(process.pid);
      this.#removeFolder();
    });
  }

  /** The last lines of output of the processes. */
  lastOutput(): readonly string[] {
    return this.#output.slice(-LAST_LINES);
  }

  /** Runs the command of `npm start` on a free port with a temporary data folder. */
  async startServer(): Promise<OwnServer> {
    this.#dataDir = mkdtempSync(join(tmpdir(), "failover-demo-"));
    const adminToken = randomBytes(24).toString("hex");
    const server = this.#spawn("server", [join(ROOT, "scripts", "start.ts")], {
      HOST: "127.0.0.1",
      PORT: "0",
      DATA_DIR: this.#dataDir,
      ADMIN_TOKEN: adminToken,
      SIGNING_KEY: randomBytes(32).toString("hex"),
    });
    const ready = new Promise<string>((resolve) => {
      this.#readOutput(server, "server", (line) => {
        const origin = /^ready (\S+)$/.exec(line)?.[1];
        if (origin !== undefined) resolve(origin);
      });
    });
    const ended = new Promise<never>((_, reject) => {
      server.once("exit", (code) => reject(new NotSeen(`the server ended with ${code} before it was ready`)));
    });
    // The server also ends at the end of the demo, which is no error.
    ended.catch(() => {});
    const origin = await Promise.race([ready, ended, delay(START_LIMIT_MS, null)]);
    if (origin === null) throw new NotSeen(`the server was not ready within ${START_LIMIT_MS / 1000} s`);
    return { origin, adminToken };
  }

  startAgent(agent: AgentSettings, environment: AgentEnvironment): ChildProcess {
    const child = this.#spawn(
      agent.id,
      [join(ROOT, "examples", "demo_agent.ts"), agent.id, agent.capabilities.join(",")],
      {
        URL: environment.origin,
        ADMIN_TOKEN: environment.adminToken,
        CLUSTER: environment.cluster,
        GROUP: "default",
        AGENT_TYPE: agent.type,
        ENDPOINT: agent.endpoint,
        HEARTBEAT_INTERVAL_SECONDS: String(environment.heartbeatIntervalSeconds),
        HEARTBEAT_TIMEOUT_SECONDS: String(environment.heartbeatTimeoutSeconds),
        WORK_SECONDS: String(environment.workSeconds),
        MAX_CONCURRENT_TASKS: "4",
        LOCK: agent.lock,
      },
    );
    this.#readOutput(child, agent.id, () => {});
    this.#agents.add(child);
    child.once("exit", () => this.#agents.delete(child));
    return child;
  }

  /** Ends the agents first, so that they can unregister, and then all other processes. */
  end(): Promise<void> {
    this.#end ??= this.#endAll();
    return this.#end;
  }

  async #endAll(): Promise<void> {
    const gone = [...this.#agents].map((agent) => new Promise((resolve) => agent.once("exit", resolve)));
    for (const agent of this.#agents) agent.kill("SIGTERM");
    await Promise.race([Promise.all(gone), delay(LEAVE_LIMIT_MS)]);
    await endDescendants(process.pid, END_LIMIT_MS);
    this.#removeFolder();
  }

  #spawn(name: string, command: string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(process.execPath, command, {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.once("error", (error) => this.#output.push(`${name}: ${error.message}`));
    return child;
  }

  #readOutput(child: ChildProcess, name: string, onLine: (line: string) => void): void {
    for (const pipe of [child.stdout, child.stderr]) {
      let rest = "";
      pipe?.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          this.#output.push(line.startsWith(`${name}: `) ? line : `${name}: ${line}`);
          if (this.#echo) console.error(this.#output.at(-1));
          onLine(line);
        }
      });
    }
  }

  #removeFolder(): void {
    if (this.#dataDir !== null) rmSync(this.#dataDir, { recursive: true, force: true });
  }
}
