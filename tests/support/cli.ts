/** The command `failover-coordinator` as it is published, with a server of the test file. All its calls use one cluster. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll, beforeAll } from "vitest";
import { buildClient } from "../../scripts/client-build.ts";
import { type Ended, ended } from "./ended.ts";
import { temporaryFolder } from "./groups.ts";
import { type Server, startServer } from "./server.ts";

const CLUSTER = "command";

export class Cli {
  #server: Server | undefined;
  #dir = "";

  get server(): Server {
    if (this.#server === undefined) throw new Error("the server runs while tests do");
    return this.#server;
  }

  /** Options for the cluster of the command. */
  get access(): { url: string; token: string; cluster: string } {
    return { url: this.server.url, token: this.server.adminToken, cluster: CLUSTER };
  }

  readonly run = (...words: string[]): Promise<Ended> => ended(this.#file, words, this.#env);

  /** Starts a call that does not end by itself. */
  watch(...words: string[]): {
    stdout: Readable;
    stderr: Readable;
    exitCode(): number | null;
    interrupt(): void;
  } {
    const child = spawn(this.#file, ["watch", ...words], {
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const { stdout, stderr } = child;
    for (const pipe of [stdout, stderr]) pipe.setEncoding("utf8");
    return { stdout, stderr, exitCode: () => child.exitCode, interrupt: () => child.kill("SIGINT") };
  }

  /** The coordinator's answer to an agent's report on its task. */
  async report(token: string, path: string, body: object): Promise<unknown> {
    const response = await fetch(`${this.server.url}/v1/clusters/${CLUSTER}/tasks/${path}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.json();
  }

  async start(): Promise<void> {
    this.#dir = temporaryFolder("failover-cli-");
    writeFileSync(join(this.#dir, "package.json"), '{ "type": "module" }');
    await buildClient(join(this.#dir, "dist"));
    this.#server = await startServer();
  }

  async end(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.#dir, "dist", "cli.js");
  }

  get #env(): NodeJS.ProcessEnv {
    const { url, token, cluster } = this.access;
    return { ...process.env, FAILOVER_URL: url, FAILOVER_TOKEN: token, FAILOVER_CLUSTER: cluster };
  }
}

/** To be called at the top of a test file. */
export function cliOfThisFile(): Cli {
  const cli = new Cli();
  beforeAll(() => cli.start());
  afterAll(() => cli.end());
  return cli;
}

export const jsonLines = (stdout: string): unknown[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** An address on which nothing listens. */
export async function urlOfNobody(): Promise<string> {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  taken.close();
  return `http://127.0.0.1:${port}`;
}
