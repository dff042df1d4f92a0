/**
 * The processes of the demo: its own server, if it needs one, and its agents, each a real child process in
 * our own process group. Whatever way the demo ends, none is left, and neither is the data folder.
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

/** Bundling takes a second or two, on a busy machine several. */
const START_LIMIT_MS = 40_000;
/** What an agent has to say good-bye, and a server to finish what it does. */
const LEAVE_LIMIT_MS = 3000;
const END_LIMIT_MS = 5000;
/** Of what a process said, as much as helps when it was in vain. */
const LAST_WORDS = 30;

export type OwnServer = { origin: string; adminToken: string };

export type AgentSettings = {
  id: string;
  type: string;
  capabilities: readonly string[];
  endpoint: string;
  lock?: string;
};

export type AgentSurroundings = {
  origin: string;
  adminToken: string;
  cluster: string;
  heartbeatIntervalSeconds: number;
  heartbeatTimeoutSeconds: number;
  workSeconds: number;
};

export class Processes {
  readonly #said: string[] = [];
  readonly #agents = new Set<ChildProcess>();
  readonly #echo: boolean;
  #dataDir: string | null = null;
  #end: Promise<void> | null = null;

  /** @param echo whether to show at once what agents and server say */
  constructor(echo: boolean) {
    this.#echo = echo;
    process.once("exit", () => {
      killDescendants(process.pid);
      this.#removeFolder();
    });
  }

  /** What the processes said last, for the case that something went wrong. */
  lastWords(): readonly string[] {
    return this.#said.slice(-LAST_WORDS);
  }

  /** The same command as `npm start`, on a free port with a folder of its own. */
  async startServer(): Promise<OwnServer> {
    this.#dataDir = mkdtempSync(join(tmpdir(), "failover-demo-"));
    const adminToken = randomBytes(24).toString("hex");
    const server = this.#spawn("server", join(ROOT, "scripts", "start.ts"), [], {
      HOST: "127.0.0.1",
      PORT: "0",
      DATA_DIR: this.#dataDir,
      ADMIN_TOKEN: adminToken,
      SIGNING_KEY: randomBytes(32).toString("hex"),
    });
    const ready = new Promise<string>((resolve) => {
      this.#listen(server, "server", (line) => {
        const origin = /^ready (\S+)$/.exec(line)?.[1];
        if (origin !== undefined) resolve(origin);
      });
    });
    const ended = new Promise<never>((_, reject) => {
      server.once("exit", (code) => reject(new NotSeen(`the server ended with ${code} before it was ready`)));
    });
    // It also ends when all is over, and then nobody waits for it.
    ended.catch(() => {});
    const origin = await Promise.race([ready, ended, delay(START_LIMIT_MS, null)]);
    if (origin === null) throw new NotSeen(`the server was not ready within ${START_LIMIT_MS / 1000} s`);
    return { origin, adminToken };
  }

  startAgent(agent: AgentSettings, surroundings: AgentSurroundings): ChildProcess {
    const child = this.#spawn(
      agent.id,
      join(ROOT, "examples", "demo_agent.ts"),
      [agent.id, agent.capabilities.join(",")],
      {
        URL: surroundings.origin,
        ADMIN_TOKEN: surroundings.adminToken,
        CLUSTER: surroundings.cluster,
        GROUP: "default",
        AGENT_TYPE: agent.type,
        ENDPOINT: agent.endpoint,
        HEARTBEAT_INTERVAL_SECONDS: String(surroundings.heartbeatIntervalSeconds),
        HEARTBEAT_TIMEOUT_SECONDS: String(surroundings.heartbeatTimeoutSeconds),
        WORK_SECONDS: String(surroundings.workSeconds),
        MAX_CONCURRENT_TASKS: "4",
        LOCK: agent.lock,
      },
    );
    this.#listen(child, agent.id, () => {});
    this.#agents.add(child);
    child.once("exit", () => this.#agents.delete(child));
    return child;
  }

  /** Ends everything: the agents first, so that they can still take their leave. */
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

  #spawn(name: string, file: string, words: string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(process.execPath, [file, ...words], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.once("error", (error) => this.#said.push(`${name}: ${error.message}`));
    return child;
  }

  #listen(child: ChildProcess, name: string, hear: (line: string) => void): void {
    for (const pipe of [child.stdout, child.stderr]) {
      let rest = "";
      pipe?.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
          this.#said.push(line.startsWith(`${name}: `) ? line : `${name}: ${line}`);
          if (this.#echo) console.error(this.#said.at(-1));
          hear(line);
        }
      });
    }
  }

  #removeFolder(): void {
    if (this.#dataDir !== null) rmSync(this.#dataDir, { recursive: true, force: true });
  }
}
