/** The published client: the content of the package, and that it works in an empty project. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createWebServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Agent, DistributedCoordinator } from "../../client/src/index.ts";
import { fencedBlocks } from "../support/markdown.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const CLIENT = join(PROJECT_ROOT, "client");
/** Limit of the whole package as the registry delivers it: library 11, command 7.5, types 10.5, README 2.5. */
const PACKAGE_LIMIT_BYTES = 33 * 1024;
/** Limit of the library alone, as a browser loads it. */
const LIBRARY_LIMIT_BYTES = 11.5 * 1024;

let server: Server;
/** An empty project that contains only the package. */
let project = "";
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
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(project, { recursive: true, force: true });
});

/** `failover-coordinator`, as npx runs it, in a cluster of its own. */
async function command(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const bin = join(project, "node_modules", ".bin", "failover-coordinator");
  try {
    return { code: 0, ...(await run(bin, words, { env: { ...env, FAILOVER_CLUSTER: "command" } })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

const jsonLines = (stdout: string): unknown[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Options for the cluster of the command. */
const access = () => ({ url: server.url, token: server.adminToken, cluster: "command" });

/** The output of an agent about its task in that cluster. */
async function report(token: string, path: string, body: object): Promise<unknown> {
  const response = await fetch(`${server.url}/v1/clusters/command/tasks/${path}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

/** A port that was free just now. */
async function urlOfNobody(): Promise<string> {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  taken.close();
  return `http://127.0.0.1:${port}`;
}

/** A server that answers every call with 200 and this body, and is not a coordinator. */
async function impostor(type: string, body: string): Promise<{ url: string } & Disposable> {
  const http = createWebServer((_, response) => {
    response.writeHead(200, { "Content-Type": type }).end(body);
  });
  await once(http.listen(0, "127.0.0.1"), "listening");
  const { port } = http.address() as AddressInfo;
  const end = () => {
    http.close();
    http.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: end };
}

const readme = readFileSync(join(CLIENT, "README.md"), "utf8");
const [tenLines = "", locksAndMessages = "", producer = ""] = fencedBlocks(readme)
  .filter(({ language }) => language === "js")
  .map(({ text }) => text);

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
    expect(ended.output()).toContain("agent1 completed { output: 'done with data1' }");
    await until(async () => agent.output().includes("agent1 hello { total: 1 }"), "the message to itself");
    agent.child.kill("SIGTERM");
    await agent.closed;
  });

  it("names every command", async () => {
    const { stdout } = await command("--help");
    const names = [...stdout.matchAll(/^ {2}([a-z][a-z-]*) /gm)].map((match) => match[1] ?? "");
    expect(names.length).toBeGreaterThan(12);
    for (const name of names) expect(readme, name).toMatch(new RegExp(`\`${name}\\b`));
  });
});

describe("the command", () => {
  it("follows a task from submission to failover and result", async () => {
    expect(
      await command("submit", "paint", "--id", "p1", "--data", '{"colour":"red"}', "--priority", "8"),
    ).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("p1 pending"),
    });
    expect((await command("tasks", "--status", "pending")).stdout).toMatch(
      /^TASK +TYPE +STATUS.*\np1 +paint +pending +8 +- /,
    );
    expect((await command("explain", "p1")).stdout).toContain("submitted");
    expect((await command("status")).stdout).toContain("1 pending");
    const { stdout } = await command("tasks", "--json");
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ id: "p1", data: { colour: "red" } }));
    expect((await command("agents")).stdout).toBe("nothing found\n");
    expect((await command("locks")).stdout).toBe("nothing found\n");
    expect((await command("failures")).code).toBe(0);
    expect((await command("readiness")).stdout).toContain("free slots");
    expect((await command("config", "set", "failover_config.reliability_threshold=0.5")).stdout).toBe(
      "failover_config.reliability_threshold = 0.5\n",
    );
    expect((await command("config", "get", "failover_config.reliability_threshold")).stdout).toBe("0.5\n");
    expect((await command("notifications", "test")).stdout).toMatch(/^CHANNEL +DELIVERED/);
    expect((await command("notifications", "--json")).code).toBe(0);
  });

  it("drains and resumes an agent, and lists the tasks that only this agent can run", async () => {
    const cluster = "command";
    const coordinator = new DistributedCoordinator({ url: server.url, token: server.adminToken, cluster });
    await coordinator.registerAgent("a1", "worker", ["plumb"]);
    expect((await command("submit", "plumb", "--id", "p2", "--label", "zone=a")).stdout).toContain(
      "p2 pending",
    );
    expect((await command("submit", "plumb", "--id", "p3")).stdout).toContain("p3 assigned a1\na1 takes p3");
    expect((await command("explain", "p3")).stdout).toMatch(/CANDIDATE +SCORE +\w+[\s\S]*a1 +\d\.\d{3} +\d/);
    expect((await command("simulate", "a1")).stdout).toContain(
      "1 tasks affected, 1 without a suitable agent",
    );
    expect((await command("readiness")).stdout).toContain("only a1 has the capability plumb");
    expect((await command("drain", "a1", "--mode", "finish")).stdout).toBe("a1 draining\n");
    expect((await command("agents")).stdout).toMatch(/\na1 +draining /);
    expect((await command("resume", "a1")).stdout).toBe("a1 resumed\n");
    expect(await command("drain", "nobody")).toMatchObject({ code: 3, stdout: "" });
    expect(await command("drain", "a1", "--mode", "slowly")).toMatchObject({ code: 2, stdout: "" });
  });

  it("cancels tasks, and continues after a refused one", async () => {
    for (const id of ["c1", "c2", "c3"]) await command("submit", "cancelled", "--id", id);
    expect(await command("cancel", "c1")).toEqual({ code: 0, stdout: "c1 cancelled -\n", stderr: "" });
    expect(await command("cancel", "c2", "no-such-task", "c3")).toEqual({
      code: 3,
      stdout: "c2 cancelled -\nc3 cancelled -\n",
      stderr: expect.stringMatching(/^no-such-task: not_found: .*\n1 of 3 tasks refused\n$/),
    });
    expect((await command("tasks", "--type", "cancelled", "--status", "pending")).stdout).toBe(
      "nothing found\n",
    );
    expect(await command("cancel", "no-such-task")).toEqual({
      code: 3,
      stdout: "",
      stderr: expect.stringMatching(/^not_found: .*\n$/),
    });
    const { code, stdout } = await command("cancel", "c1", "no such task", "--json");
    expect(code).toBe(3);
    expect(jsonLines(stdout)).toEqual([
      { id: "c1", task: expect.objectContaining({ id: "c1", status: "cancelled" }) },
      { id: "no such task", error: expect.objectContaining({ code: "invalid_request", status: 400 }) },
    ]);
    expect((await command("cancel")).code).toBe(2);
  });

  it("stops where the other tasks would be refused for the same reason", async () => {
    await command("submit", "stopped", "--id", "s1");
    const refused = await command("cancel", "s1", "s2", "s3", "--token", "wrong");
    expect(refused).toEqual({
      code: 4,
      stdout: "",
      stderr: expect.stringMatching(/^stopped at s1; 2 more not tried\nunauthorized: .*\n$/),
    });
    const unanswered = await command("retry", "s1", "s2", "--url", await urlOfNobody());
    expect(unanswered).toMatchObject({ code: 1, stdout: "" });
    expect(unanswered.stderr).toMatch(/^stopped at s1; 1 more not tried\n.*ECONNREFUSED/);
    expect((await command("tasks", "--type", "stopped", "--json")).stdout).toContain('"status":"pending"');
  });

  it("retries failed tasks: those named, those of a type, or all", async () => {
    const coordinator = new DistributedCoordinator(access());
    const { token } = await coordinator.registerAgent("clumsy", "worker", ["juggle", "climb"]);
    const error = { message: "fell", retryable: false };
    for (const [id, type] of Object.entries({ j1: "juggle", j2: "juggle", k1: "climb", k2: "climb" })) {
      await coordinator.tasks.submit({ id, type });
      expect(await report(token, `${id}/fail`, { agent_id: "clumsy", attempt: 1, error })).toMatchObject({
        task: { status: "failed" },
      });
    }

    const named = await command("retry", "j1", "j1", "j2");
    expect(named).toMatchObject({ code: 3, stdout: "j1 assigned clumsy\nj2 assigned clumsy\n" });
    expect(named.stderr).toMatch(/^j1: invalid_transition: .* assigned\n1 of 3 tasks refused\n$/);
    await report(token, "j1/fail", { agent_id: "clumsy", attempt: 2, error });
    await coordinator.agents.reportFailure("clumsy", { failure_type: "reported" });

    expect(await command("retry", "--all", "--type", "no-such-type")).toMatchObject({
      code: 0,
      stdout: "no failed tasks found\n",
    });
    const ofType = await command("retry", "--all", "--type", "climb", "--json");
    expect(ofType).toMatchObject({ code: 0, stderr: "" });
    expect(jsonLines(ofType.stdout)).toMatchObject([
      { id: "k2", task: { status: "pending", error: null } },
      { id: "k1", task: { status: "pending", error: null } },
    ]);
    expect((await command("retry", "--all")).stdout).toMatch(/^j1 pending - \S.*\n$/);
    expect(await command("retry", "--all", "--json")).toEqual({ code: 0, stdout: "", stderr: "" });

    expect(await command("retry")).toMatchObject({ code: 2, stderr: "name tasks, or use --all, not both\n" });
    expect((await command("retry", "j1", "--all")).code).toBe(2);
    expect((await command("retry", "j1", "--type", "juggle")).code).toBe(2);
  });

  it("shows late results and completes a task with one", async () => {
    const coordinator = new DistributedCoordinator(access());
    const { token } = await coordinator.registerAgent("slow", "worker", ["carve"]);
    await coordinator.tasks.submit({ id: "l1", type: "carve" });
    expect(await command("late-results", "l1")).toEqual({
      code: 0,
      stdout: "nothing found\n",
      stderr: "",
    });
    await coordinator.registerAgent("quick", "worker", ["carve"]);
    await coordinator.agents.reportFailure("slow", { failure_type: "reported" });
    const result = { text: "x".repeat(100) };
    expect(await report(token, "l1/complete", { agent_id: "slow", attempt: 1, result })).toMatchObject({
      code: "stale_attempt",
      late_result: "kept",
    });

    expect((await command("late-results", "l1")).stdout).toMatch(
      /^ATTEMPT +AGENT +RECEIVED +BYTES +RESULT\n1 +slow +[\d-]+ [\d:]+ +111 +\{"text":"x{50}…\n$/,
    );
    const { stdout } = await command("late-results", "l1", "--json");
    expect(JSON.parse(stdout)).toEqual([
      { attempt: 1, agent_id: "slow", result, received_at: expect.any(String) },
    ]);
    expect(await command("accept", "l1", "2")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringContaining("not_found: no late result of this attempt is stored"),
    });
    expect((await command("accept", "l1", "0")).code).toBe(2);
    expect(await command("accept", "l1", "first")).toMatchObject({
      code: 2,
      stderr: "ATTEMPT must be a number\n",
    });
    expect((await command("accept", "l1")).code).toBe(2);
    const accepted = await command("accept", "l1", "1");
    expect(accepted).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^l1 completed slow\n\{"text":"x{50}…\n$/),
    });
    expect(JSON.parse((await command("accept", "l1", "1", "--json")).stdout)).toMatchObject({
      status: "completed",
      result,
    });
    expect((await command("late-results", "no-such-task")).code).toBe(3);
  });

  it("shows changes until it is interrupted", async () => {
    const child = spawn(
      join(project, "node_modules/.bin/failover-coordinator"),
      ["watch", "--after", "0", "--json", "--cluster", "command"],
      { env, stdio: ["ignore", "pipe", "inherit"] },
    );
    const first = await new Promise<string>((resolve) =>
      child.stdout.setEncoding("utf8").once("data", resolve),
    );
    child.kill("SIGINT");
    expect(JSON.parse(first.split("\n")[0] ?? "")).toMatchObject({
      type: expect.any(String),
      subject: expect.any(String),
    });
  });

  it("exits with a code for the outcome of the task that it waited for", async () => {
    const wait = (type: string, ...more: string[]) => command("submit", type, "--wait", "10", ...more);
    const worker = new Agent({ ...access(), id: "judge", handleSignals: false });
    worker.on("goes_well", () => "well");
    worker.on("goes_wrong", () => {
      throw Object.assign(new Error("no luck"), { retryable: false });
    });
    await worker.start();
    expect(await wait("goes_well")).toMatchObject({ code: 0, stdout: expect.stringContaining('"well"') });
    expect(await wait("goes_wrong")).toMatchObject({
      code: 5,
      stdout: expect.stringContaining("no luck"),
      stderr: expect.stringMatching(/^task \S+ failed\n$/),
    });
    expect(await wait("nobody_can", "--wait", "0.2", "--json")).toMatchObject({
      code: 6,
      stdout: expect.stringContaining('"status":"pending"'),
      stderr: expect.stringMatching(/^task \S+ has not ended within 0.2 s\n$/),
    });
    await worker.stop();
  });

  it("reports an unreachable server while watching, and continues", async () => {
    const url = await urlOfNobody();
    const child = spawn(join(project, "node_modules/.bin/failover-coordinator"), ["watch", "--url", url], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
    await until(async () => said !== "", "a word");
    expect(said).toMatch(/ECONNREFUSED.*; retrying until the server responds\n$/);
    expect(child.exitCode).toBeNull();
    child.kill("SIGINT");
  });

  it("waits for the end of a task, and exits with a code for its outcome", async () => {
    const { token } = await new DistributedCoordinator(access()).registerAgent("baker", "worker", ["bake"]);
    const holder = { agent_id: "baker", attempt: 1 };
    for (const id of ["w1", "w2", "w3", "w4"]) await command("submit", "bake", "--id", id);
    await report(token, "w1/complete", { ...holder, result: { loaves: 2 } });
    await report(token, "w2/fail", { ...holder, error: { message: "burnt", retryable: false } });
    await command("cancel", "w3");
    await report(token, "w4/start", holder);
    const waited = (type: string, id: string, ...words: string[]) =>
      command("submit", type, "--id", id, "--wait", "0.1", ...words);

    expect(await waited("bake", "w1")).toEqual({
      code: 0,
      stdout: 'w1 completed baker\n{"loaves":2}\n',
      stderr: "",
    });
    expect(await waited("bake", "w2")).toMatchObject({
      code: 5,
      stdout: 'w2 failed baker\n{"message":"burnt","retryable":false}\n',
    });
    expect(await waited("bake", "w3")).toMatchObject({ code: 5, stdout: "w3 cancelled baker\n" });
    expect(await waited("bake", "w4")).toEqual({
      code: 6,
      stdout: "w4 running baker\n",
      stderr: "task w4 has not ended within 0.1 s\n",
    });
    const waiting = await waited("sing", "w5");
    expect(waiting).toMatchObject({ code: 6, stdout: expect.stringMatching(/^w5 pending -\n.*capability/) });
    for (const [id, code] of Object.entries({ w1: 0, w2: 5, w3: 5, w4: 6 })) {
      const { stdout, ...ended } = await waited("bake", id, "--json");
      expect([ended.code, JSON.parse(stdout)]).toEqual([code, expect.objectContaining({ id })]);
    }
    expect(await command("submit", "bake", "--id", "w6", "--wait", "long")).toMatchObject({ code: 2 });
    expect((await command("tasks", "--type", "bake")).stdout).not.toContain("w6");
    for (const code of [5, 6]) expect(readme).toMatch(new RegExp(`\\b${code} `));
  });

  it("exits with 2 after an argument that the coordinator calls invalid", async () => {
    for (const words of [
      ["tasks", "--status", "nope"],
      ["tasks", "--limit", "99999"],
      ["submit", "paint", "--priority", "99"],
      ["submit", "paint", "--id", "a b"],
      ["cancel", "a b"],
      ["config", "set", "failover_config.enabled=5"],
    ])
      expect(await command(...words), words.join(" ")).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(/^invalid_request: .*\n$/),
      });
  });

  it("names the invalid argument, the allowed values, and what to do", async () => {
    const LIST = "Run failover-coordinator --help for the list.\n";
    const told = async (...words: string[]) => {
      const { code, stderr } = await command(...words);
      expect(code, stderr).toBe(2);
      return stderr;
    };
    expect(await told("drain", "a1", "--deadline", "-1")).toBe("--deadline must be 0 or greater\n");
    expect(await told("drain", "a1", "--deadline", "--json")).toBe("--deadline requires a value\n");
    expect(await told("submit", "paint", "--data")).toBe("--data requires a value\n");
    expect(await told("tasks", "--colour", "red")).toBe(
      "unknown option --colour. Run failover-coordinator tasks --help for the list.\n",
    );
    expect(await told("stauts")).toBe(`unknown command "stauts"; did you mean "status"? ${LIST}`);
    expect(await told("task")).toBe(`unknown command "task"; did you mean "tasks"? ${LIST}`);
    expect(await told("foo")).toBe(`unknown command "foo". ${LIST}`);
    expect(await told("status", "--url", "localhost")).toContain("url must start with http:// or https://");
    expect((await command("submit", "paint", "--data", "-1", "--json")).stdout).toContain('"data":-1');
  });

  it("says of an empty cluster that it is empty", async () => {
    const empty = await command("status", "--cluster", "nope");
    expect(empty).toMatchObject({ code: 0, stderr: "" });
    expect(empty.stdout).toMatch(/^cluster nope is empty: no agents and no tasks\. Check --cluster/);
    expect((await command("status")).stdout).not.toContain("is empty");
    expect(JSON.parse((await command("status", "--cluster", "nope", "--json")).stdout)).toMatchObject({
      total_agents: 0,
    });
  });

  it("names where to set the token when it is missing or refused", async () => {
    for (const token of ["", "wrong"])
      expect(await command("status", "--token", token)).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/^unauthorized: .*; set --token or FAILOVER_TOKEN\n$/),
      });
    expect(await command("watch", "--token", "wrong")).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^unauthorized: .*; set --token or FAILOVER_TOKEN\n$/),
    });
  });

  it("reports in one line that a server is not a coordinator", async () => {
    const calls = [
      ...[["status"], ["agents"], ["tasks"], ["locks"], ["failures"], ["notifications"], ["readiness"]],
      ...[
        ["config", "get"],
        ["config", "get", "a.b"],
        ["submit", "t"],
        ["submit", "t", "--wait", "1"],
      ],
      ...[
        ["explain", "t"],
        ["cancel", "t"],
        ["cancel", "t", "u"],
        ["drain", "a"],
        ["simulate", "a"],
      ],
      ...[
        ["late-results", "t"],
        ["accept", "t", "1"],
        ["status", "--json"],
        ["config", "get", "--json"],
      ],
      ["submit", "t", "--json"],
    ];
    for (const body of ["null", '"well"']) {
      using other = await impostor("application/json", body);
      const ended = await Promise.all(calls.map((words) => command(...words, "--url", other.url)));
      for (const [at, { code, stdout, stderr }] of ended.entries()) {
        const words = `${calls[at]?.join(" ")} of ${body}`;
        expect([code, stdout], `${words}: ${stderr}`).toEqual([1, ""]);
        expect(stderr, words).toMatch(
          /^(?:stopped at .*\n)?unexpected response: http:\S+ is not a failover coordinator \(.+\)\n$/,
        );
      }
    }
    using page = await impostor("text/html", "<html>hello</html>");
    for (const words of [["status"], ["config", "get"], ["agents"], ["submit", "paint"]]) {
      expect(await command(...words, "--url", page.url)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringMatching(
          /^.*unexpected response: this is not a failover coordinator: 200 text\/html\n$/,
        ),
      });
    }
  });

  it("shows a part of the configuration as valid JSON", async () => {
    const { stdout } = await command("config", "get", "heartbeat_config");
    expect(JSON.parse(stdout)).toMatchObject({ timeout_seconds: expect.any(Number) });
    expect(stdout).toContain('\n  "timeout_seconds": ');
  });

  it("exits with a code for each kind of outcome", async () => {
    expect((await command()).code).toBe(2);
    expect((await command("fly")).code).toBe(2);
    expect((await command("tasks", "--colour", "red")).code).toBe(2);
    expect((await command("explain")).code).toBe(2);
    expect((await command("submit", "paint", "--data", "{")).code).toBe(2);
    expect((await command("submit", "paint", "--priority", "high")).code).toBe(2);
    expect((await command("config", "get", "no.such.key")).code).toBe(2);
    expect(await command("explain", "no-such-task")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringContaining("not_found"),
    });
    expect((await command("tasks", "--status", "done")).code).toBe(2);
    expect((await command("submit", "paint", "--priority", "99")).code).toBe(2);
    expect(await command("status", "--token", "wrong")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("FAILOVER_TOKEN"),
    });
    expect((await command("status", "--cluster", "no-such-cluster")).stdout).toContain(
      "cluster no-such-cluster is empty",
    );
    expect((await command("status", "--help")).code).toBe(0);
    expect((await command("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("reports an unreachable server", async () => {
    const { code, stderr } = await command("submit", "paint", "--url", await urlOfNobody(), "--id", "x");
    expect([code, stderr]).toEqual([1, expect.stringContaining("ECONNREFUSED")]);
  });

  it("has help for each command", async () => {
    const { stdout } = await command("--help");
    for (const [, name = ""] of stdout.matchAll(/^ {2}([a-z][a-z-]*) /gm)) {
      expect(await command(name, "--help")).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(`Usage: failover-coordinator ${name}`),
      });
    }
  });
});

describe("Node 20", () => {
  /** The oldest promised version, if it is installed on this machine. */
  const old = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => existsSync(path));

  it("runs the client without a socket, which Node 20 does not have", async () => {
    const node = old ?? process.execPath;
    const text = `import { Agent, DistributedCoordinator } from "failover-coordinator";
      const access = { url: process.env.FAILOVER_URL, token: process.env.FAILOVER_TOKEN, cluster: "old" };
      const agent = new Agent({ ...access, id: "a" }).on("work", () => process.version);
      agent.listen("connected", ({ transport }) => console.log(typeof WebSocket === "undefined" ? transport : "http"));
      await agent.start();
      const coordinator = new DistributedCoordinator(access);
      const { task } = await coordinator.tasks.submit({ type: "work" });
      console.log((await coordinator.tasks.wait(task.id)).result === process.version);
      await agent.stop();`;
    writeFileSync(join(project, "old.js"), text);
    const { stdout } = await run(node, ["old.js"], { cwd: project, env });
    expect(stdout.split("\n")).toEqual(expect.arrayContaining(["http", "true"]));
  });
});
