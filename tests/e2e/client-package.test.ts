/** The published client: the content of the package, and that it works in an empty project. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { type Ended, ended } from "../support/ended.ts";
import { fencedBlocks } from "../support/markdown.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const CLIENT = join(PROJECT_ROOT, "client");
/**
 * Limit of the whole package as the registry delivers it: 2 % more than it has (library 12, command 13, types 11, README
 * 3.5). The command has examples in its help, and shows incidents, stuck tasks, reasons and changes of the configuration.
 */
const PACKAGE_LIMIT_BYTES = 40.2 * 1024;
/** Limit of the library alone, as a browser loads it. The end of an agent for good, its return after an outage, and
 * the names of its errors, take 1.1. */
const LIBRARY_LIMIT_BYTES = 12.6 * 1024;

let server: Server;
/** An empty project that contains only the package. */
let project = "";
/** Two runs of the compiler and two of npm, beside other servers on a busy machine. */
const PACKING_LIMIT_MS = 180_000;

let tarball = "";
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), "failover-client-"));
  const packed = await run("npm", ["pack", "--pack-destination", project], { cwd: CLIENT });
  tarball = join(project, packed.stdout.trim().split("\n").at(-1) ?? "");
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "private": true, "type": "module" }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", tarball], { cwd: project });
  server = await startServer();
  env = { ...process.env, FAILOVER_URL: server.url, FAILOVER_TOKEN: server.adminToken };
}, PACKING_LIMIT_MS);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(project, { recursive: true, force: true });
});

/** `failover-coordinator`, as npx runs it. */
const command = (...words: string[]): Promise<Ended> =>
  ended(join(project, "node_modules", ".bin", "failover-coordinator"), words, env);

const readme = readFileSync(join(CLIENT, "README.md"), "utf8");
const [tenLines = "", locksAndMessages = "", producer = ""] = fencedBlocks(readme)
  .filter(({ language }) => language === "js")
  .map(({ text }) => text);

/** The commands that the help lists, of one or two words. */
const namesOfCommands = (help: string) =>
  [...help.matchAll(/^ {2}([a-z][a-z-]*(?: [a-z]+)?) /gm)].map((match) => match[1] ?? "");

/** Runs a program of the project until it prints `until`, or ends. */
function start(name: string, text: string) {
  writeFileSync(join(project, name), text);
  const child = spawn(process.execPath, [name], { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, closed, output: () => output };
}

describe("the package", () => {
  it("is small, and has no dependencies", async () => {
    expect(readFileSync(tarball).byteLength).toBeLessThan(PACKAGE_LIMIT_BYTES);
    expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "failover-coordinator",
    ]);
    const installed = join(project, "node_modules", "failover-coordinator");
    expect(readdirSync(installed, { recursive: true }).sort()).toEqual(
      [
        "LICENSE",
        "README.md",
        "dist",
        "dist/cli.js",
        "dist/index.d.ts",
        "dist/index.js",
        "package.json",
      ].sort(),
    );
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as object;
    expect(manifest).not.toHaveProperty("dependencies");
    const root = JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8")) as { version: string };
    expect(manifest).toMatchObject({ version: root.version });
  });

  it("has declarations without imports, and a library without Node", () => {
    const declarations = readFileSync(
      join(project, "node_modules/failover-coordinator/dist/index.d.ts"),
      "utf8",
    );
    expect(declarations).not.toMatch(/zod|\bimport\b.*from|node:/);
    const library = readFileSync(join(project, "node_modules/failover-coordinator/dist/index.js"), "utf8");
    expect(gzipSync(library, { level: 9 }).byteLength).toBeLessThan(LIBRARY_LIMIT_BYTES);
    expect(library).not.toMatch(/\bimport\b\s*[{"'(]|\brequire\(|node:/);
    // Node prints the line of an uncaught error.
    expect(Math.max(...library.split("\n").map((line) => line.length))).toBeLessThan(1000);
  });

  it("is typed: a correct program compiles, a wrong one does not", async () => {
    const tsc = join(PROJECT_ROOT, "node_modules", ".bin", "tsc");
    const words = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--exactOptionalPropertyTypes",
      "--target",
      "es2022",
      "--module",
      "nodenext",
      "--lib",
      "es2022,dom",
      "--types",
      "",
    ];
    writeFileSync(
      join(project, "good.ts"),
      `import { Agent, DistributedCoordinator, StaleAttemptError, type Task } from "failover-coordinator";
       const agent = new Agent({ id: "a" });
       agent.on<{ input: string }>("t", async (task, { progress }) => { await progress(1); return task.data.input.length; });
       agent.listen("lateResult", ({ error }) => { error.evidence; });
       const coordinator = new DistributedCoordinator();
       export const task: Task = await coordinator.tasks.get("t");
       for await (const { selected } of coordinator.tasks.decisions("t")) selected?.length;
       await coordinator.config.patch({ failover_config: { enabled: null, backup_agents: { a: ["b"] } } });
       new StaleAttemptError(409, {}).code;`,
    );
    expect((await run(tsc, [...words, "good.ts"], { cwd: project })).stdout).toBe("");
    writeFileSync(
      join(project, "bad.ts"),
      `import { DistributedCoordinator, Tasks } from "failover-coordinator";
       const coordinator = new DistributedCoordinator({ tokn: "x" });
       await coordinator.tasks.submit({ priority: 5 });
       await coordinator.tasks.list({ status: "done" });
       export const status: number = (await coordinator.tasks.get("t")).status;`,
    );
    const { stdout } = await run(tsc, [...words, "bad.ts"], { cwd: project }).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout.match(/bad\.ts\(\d+/g)).toEqual([
      "bad.ts(1",
      "bad.ts(2",
      "bad.ts(3",
      "bad.ts(4",
      "bad.ts(5",
    ]);
  });
});

describe("the README", () => {
  it("shows an agent of about ten lines that works", async () => {
    const coordinator = new DistributedCoordinator({ url: server.url, token: server.adminToken });
    const agent = start("agent.js", tenLines);
    const { task } = await coordinator.tasks.submit({ type: "task_type1", data: { input: "data1" } });
    const ended = await coordinator.tasks.wait(task.id, { waitSeconds: 20 });
    expect(ended.result, agent.output()).toEqual({ output: "done with data1" });
    agent.child.kill("SIGTERM");
    await agent.closed;
    expect(agent.output()).toBe("");
    expect((await coordinator.getClusterStatus()).total_agents).toBe(0);
  });

  it("shows a producer, locks and messages that work", async () => {
    const coordinator = new DistributedCoordinator({ url: server.url, token: server.adminToken });
    const agent = start("locks.js", `${tenLines}\n${locksAndMessages}`);
    await until(async () => (await coordinator.agents.list()).items.length === 1, "the agent");
    const ended = start("producer.js", producer);
    expect(await ended.closed, ended.output()).toBe(0);
    expect(ended.output()).toContain("js-agent completed { output: 'done with data1' }");
    await until(async () => agent.output().includes("js-agent hello { total: 1 }"), "the message to itself");
    agent.child.kill("SIGTERM");
    await agent.closed;
  });

  it("names every command", async () => {
    const { stdout } = await command("--help");
    const names = namesOfCommands(stdout);
    expect(names.length).toBeGreaterThan(20);
    for (const name of names) expect(readme, name).toMatch(new RegExp(`\`${name}\\b`));
  });

  it("has the exit codes of the help", async () => {
    const { stdout } = await command("--help");
    const codes = [...stdout.matchAll(/^ {2}(\d) {2}(.*)$/gm)].map(
      ([, code, meaning]) => `| ${code} | ${meaning} |`,
    );
    expect(codes.length).toBeGreaterThan(8);
    expect(readme.split("\n").filter((line) => /^\| \d \|/.test(line))).toEqual(codes);
  });
});

describe("the installed command", () => {
  it("calls the coordinator", async () => {
    expect(await command("status", "--cluster", "installed")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("cluster installed is empty"),
    });
  });

  it("has help for each command", async () => {
    const { stdout } = await command("--help");
    for (const name of namesOfCommands(stdout)) {
      const help = {
        code: 0,
        stdout: expect.stringContaining(`Usage: failover-coordinator ${name}`),
        stderr: "",
      };
      expect(await command(...name.split(" "), "--help")).toEqual(help);
    }
    expect((await command("help", "config")).stdout).toMatch(/^ {2}config get .*\n {2}config set /m);
    expect((await command("help", "config", "get")).stdout).toMatch(
      /^Usage: failover-coordinator config get /,
    );
  });

  it("loads two files of the package, and nothing else: a call takes little longer than its HTTP call", async () => {
    const installed = join(project, "node_modules", "failover-coordinator", "dist");
    const imports = ["cli.js", "index.js"].flatMap((name) =>
      [...readFileSync(join(installed, name), "utf8").matchAll(/\b(?:from|import)\s*\(?"([^"]+)"/g)].map(
        ([, specifier]) => specifier,
      ),
    );
    // `npm run bench -- command` measures the time.
    expect([...new Set(imports)].sort()).toEqual(["./index.js", "node:fs", "node:util"]);
    const bytes = ["cli.js", "index.js"].reduce((sum, name) => sum + statSync(join(installed, name)).size, 0);
    expect(bytes).toBeLessThan(80 * 1024);
  });
});

describe("a platform without WebSocket", () => {
  it("runs the client over HTTP, and prints how long a crash goes unnoticed", async () => {
    const text = `import { Agent, DistributedCoordinator } from "failover-coordinator";
      const access = { url: process.env.FAILOVER_URL, token: process.env.FAILOVER_TOKEN, cluster: "bare" };
      const agent = new Agent({ ...access, id: "a" }).on("work", () => typeof WebSocket);
      agent.listen("connected", ({ transport }) => console.log(transport));
      await agent.start();
      const coordinator = new DistributedCoordinator(access);
      const { task } = await coordinator.tasks.submit({ type: "work" });
      console.log((await coordinator.tasks.wait(task.id)).result);
      await agent.stop();`;
    writeFileSync(join(project, "bare.js"), text);
    const words = ["--no-experimental-websocket", "bare.js"];
    const { stdout, stderr } = await run(process.execPath, words, { cwd: project, env });
    expect(stdout.trim().split("\n")).toEqual(["http", "undefined"]);
    expect(stderr.trim()).toBe(
      "no WebSocket on this platform: a crash is noticed within 40 s, not within about 5 s",
    );
  });
});

describe("a clone of the repository", () => {
  // Installs the tools of the project, which takes a minute.
  it.runIf(process.env.LONG)(
    "packs the client without npm ci, and leaves nothing that git does not ignore",
    { timeout: 600_000 },
    async () => {
      const clone = join(project, "clone");
      await run("git", ["clone", "--quiet", PROJECT_ROOT, clone]);
      await run("npm", ["pack", "./client"], { cwd: clone });
      expect(existsSync(join(clone, "failover-coordinator-0.1.0.tgz"))).toBe(true);
      expect((await run("git", ["status", "--porcelain"], { cwd: clone })).stdout).toBe("");
    },
  );
});
