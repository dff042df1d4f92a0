/**
 * A real server for black-box tests: `npm start` or `npm run dev` as a process group of its own, with a port and a
 * data folder of its own. `await using` ends it however the test ends.
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Process } from "../../scripts/server/process-tree.ts";
import { SETTINGS } from "../../scripts/server/settings.ts";
import { groupMembers, killGroup, register, signalGroup, temporaryFolder, unregister } from "./groups.ts";
import { freshPort } from "./ports.ts";
import { until } from "./until.ts";

export type ServerOptions = {
  /** Added to settings that make the server independent of the machine; an empty value unsets one. */
  env?: Readonly<Record<string, string>>;
  /** Kept at the end; without it, a temporary folder is created and removed. */
  dataDir?: string;
  script?: "start" | "dev";
  /** Another copy of the project. */
  root?: string;
};

export interface Server extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly adminToken: string;
  readonly signingKey: string;
  readonly dataDir: string;
  /** The process id of the command, and so of its group. */
  readonly pid: number;
  /** The live processes of the group: the command and its children. */
  processes(): Process[];
  /** All output on stdout and stderr so far, restarts included. */
  output(): string;
  /** SIGKILL to the whole group; resolves when all have ended. */
  kill(): Promise<void>;
  /** SIGTERM to the command alone; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** SIGSTOP to the whole group; resolves when all are stopped. */
  pause(): Promise<void>;
  resume(): void;
  /** Starts the server again on the same port and data folder, after `kill` or `stop`. */
  restart(): Promise<void>;
}

export const PROJECT_ROOT = join(import.meta.dirname, "..", "..");
export const TEST_ADMIN_TOKEN = "test-admin-token.0123456789abcdef";
export const TEST_SIGNING_KEY = "test-signing-key.0123456789abcdef0123456789abcdef";

export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const server = new RunningServer(options);
  try {
    await server.restart();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** The environment of a command that depends on the given values only: an empty value unsets one. */
export function commandEnvironment(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const ambient = new Set<string>([
    ...SETTINGS.map(({ name }) => name),
    "npm_lifecycle_event",
    "NODE_OPTIONS",
  ]);
  const inherited = Object.entries(process.env).filter(([name]) => !ambient.has(name));
  return {
    ...Object.fromEntries(inherited),
    HOST: "127.0.0.1",
    ADMIN_TOKEN: TEST_ADMIN_TOKEN,
    SIGNING_KEY: TEST_SIGNING_KEY,
    // Built once per run by bundle-once.ts; without it, each server builds its own.
    BUNDLE_DIR: process.env.BUNDLE_DIR ?? "",
    ...env,
  };
}

class RunningServer implements Server {
  readonly dataDir: string;
  url = "";
  port = 0;
  pid = 0;
  readonly #options: ServerOptions;
  readonly #env: NodeJS.ProcessEnv;
  #output = "";
  #exited: Promise<number | null> = Promise.resolve(null);
  /** Later than `#exited`: the output is read to its end, also while another process holds the pipes. */
  #closed: Promise<unknown> = Promise.resolve();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.dataDir = options.dataDir ?? temporaryFolder("failover-server-");
    this.#env = commandEnvironment({ ...options.env, DATA_DIR: this.dataDir });
  }

  get adminToken() {
    return this.#env.ADMIN_TOKEN ?? "";
  }

  get signingKey() {
    return this.#env.SIGNING_KEY ?? "";
  }

  processes() {
    return groupMembers(this.pid);
  }

  output() {
    return this.#output;
  }

  async kill() {
    await killGroup(this.pid);
    await this.#closed;
    unregister(this.pid);
  }

  async stop() {
    process.kill(this.pid, "SIGTERM");
    const code = await this.#exited;
    const left = this.processes();
    await this.kill();
    if (left.length > 0) throw new Error(`left over after SIGTERM: ${left.map(({ pid }) => pid).join(", ")}`);
    return code;
  }

  async pause() {
    signalGroup(this.pid, "SIGSTOP");
    const standsStill = () => this.processes().every(({ stopped }) => stopped);
    await until(standsStill, "the group to stand still");
  }

  resume() {
    signalGroup(this.pid, "SIGCONT");
  }

  async restart() {
    if (this.processes().length > 0)
      throw new Error("the server still runs: end it with kill() or stop() first");
    if (this.port === 0) this.port = await freshPort();
    const script = join(
      this.#options.root ?? PROJECT_ROOT,
      "scripts",
      `${this.#options.script ?? "start"}.ts`,
    );
    const child = spawn(process.execPath, [script], {
      env: { ...this.#env, PORT: String(this.port) },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.pid = child.pid ?? 0;
    register(this.pid);
    this.#exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    this.#closed = new Promise((resolve) => child.once("close", resolve));

    const heard = this.#output.length;
    const ready = new Promise<string>((resolve) => {
      const listen = (chunk: string) => {
        this.#output += chunk;
        const url = /^ready (\S+)\n/m.exec(this.#output.slice(heard))?.[1];
        if (url !== undefined) resolve(url);
      };
      child.stdout.setEncoding("utf8").on("data", listen);
      child.stderr.setEncoding("utf8").on("data", listen);
    });
    const outcome = await Promise.race([ready, this.#exited]);
    if (typeof outcome !== "string") {
      await this.kill();
      throw new Error(`the server ended with ${outcome} before it was ready:\n${this.#output.slice(heard)}`);
    }
    this.url = outcome;
  }

  async [Symbol.asyncDispose]() {
    if (this.pid !== 0) await this.kill();
    if (this.#options.dataDir === undefined) rmSync(this.dataDir, { recursive: true, force: true });
  }
}
