/**
 * The tests of an agent of examples/ that is not in TypeScript, against a real server: the agent follows the protocol of
 * agents, and leaves no process or file behind. Each language has a file of its own, so that they run side by side.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiOfThisFile, type CheckedApi, type CheckedCluster } from "./checked-cluster.ts";
import { type Language, missingFor } from "./example-agents.ts";
import { type OddAnswer, OddProxy } from "./odd-proxy.ts";
import { ProcessGroup } from "./process-group.ts";
import { commandEnvironment } from "./server.ts";
import { until } from "./until.ts";

/** Long enough that a busy machine does not make an agent late. */
const TIMEOUT_SECONDS = 4;
/** Several lifetimes of servers and agents in one test. */
const TEST_LIMIT_MS = 120_000;

let api: CheckedApi;
let folder = "";
/** One of the examples, with temporary files in a folder of its own. */
class Program extends ProcessGroup {
  readonly #folder: string;

  constructor({ interpreter, file }: Language, env: Record<string, string>, words: readonly string[] = []) {
    const ownFolder = mkdtempSync(join(folder, "agent-"));
    super(interpreter, [join("examples", file), ...words], {
      env: commandEnvironment({ TMPDIR: ownFolder, PYTHONDONTWRITEBYTECODE: "1", ...env }),
    });
    this.#folder = ownFolder;
  }

  /** Files that the agent has not removed. */
  leftFiles(): string[] {
    return readdirSync(this.#folder);
  }

  /** @returns its exit code, once its whole process group has ended */
  async terminate(): Promise<number | null> {
    this.signal("SIGTERM");
    return this.gone();
  }
}

/** A lock that the test holds and that a task waits for, so that the test decides when the task ends. */
async function closedGate(cluster: CheckedCluster) {
  const keeper = await cluster.register("keeper", { capabilities: [], heartbeat_timeout_seconds: 3600 });
  const { fencing_token } = await keeper.acquire("gate", { ttl_seconds: 600 });
  return {
    keeper,
    task: (id: string) =>
      cluster.submit({ id, type: "use_lock", data: { resource: "gate", steps: 1, step_seconds: 0 } }),
    open: async () => expect((await keeper.proof("release", "gate", fencing_token)).status).toBe(200),
  };
}

/** What a proxy, a captive portal or another program may answer with 200. */
const oddAnswers = (): OddAnswer[] => [
  { status: 200, type: "text/html", body: "<!doctype html><title>Sign in</title>" },
  { status: 200, type: "application/json", body: "" },
  { status: 200, type: "application/json", body: "[1]" },
  { status: 200, type: "application/json", body: '{"status":"ok"}' },
  { status: 200, type: "application/json", body: Buffer.from([0x7b, 0xff, 0x7d]) },
];

const isRunning = ({ status }: { status: string }) => status === "running";
const isDone = ({ status }: { status: string }) => status === "completed";

/** To be called at the top of a test file. */
export function exampleAgentSuite(language: Language): void {
  api = apiOfThisFile();
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "failover-languages-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const missing = missingFor(language);
  if (missing.length > 0) it.skip(`is not tried, for want of ${missing.join(" and ")}`, () => {});
  else describe(`examples/${language.file}`, () => testsOf(language));
}

function testsOf(language: Language): void {
  async function start(
    cluster: CheckedCluster,
    id: string,
    env: Record<string, string> = {},
  ): Promise<Program> {
    const program = new Program(language, {
      URL: api.server.url,
      TOKEN: "",
      ADMIN_TOKEN: api.server.adminToken,
      CLUSTER: cluster.id,
      AGENT_ID: id,
      HEARTBEAT_INTERVAL_SECONDS: "0.5",
      HEARTBEAT_TIMEOUT_SECONDS: String(TIMEOUT_SECONDS),
      ...env,
    });
    try {
      await program.said(/registered, incarnation \d+/);
      return program;
    } catch (error) {
      await program[Symbol.asyncDispose]();
      throw error;
    }
  }

  it("does its tasks, several at a time, and leaves no process or file behind when it is terminated", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a");
    const tricky = { text: 'one "two"\nthree \\ }{][,: é', id: "not-me", attempt: 99, steps: [[{ a: 1 }]] };
    await gate.task("gated");
    await cluster.submit({ id: "words", type: "count_words", data: tricky });
    await cluster.submit({ id: "steps", type: "take_steps", data: { steps: 3, step_seconds: 0.1 } });
    expect((await cluster.taskOnce("words", isDone, "the words")).result).toEqual({ words: 6 });
    expect((await cluster.taskOnce("steps", isDone, "the steps")).result).toEqual({ steps: 3 });
    // Completed while another task is still running.
    expect(await cluster.task("gated")).toMatchObject({ status: "running", attempt: 1 });
    await gate.open();
    await cluster.taskOnce("gated", isDone, "the gated one");

    expect(await agent.terminate(), agent.output()).toBe(0);
    expect((await cluster.agents()).items.map(({ id }) => id)).toEqual(["keeper"]);
    expect((await cluster.failures()).items).toEqual([]);
    expect(agent.leftFiles()).toEqual([]);
  });

  it("fails a task of an unknown type, and continues with others", async () => {
    const cluster = api.cluster();
    await using agent = await start(cluster, "a");
    await cluster.submit({ id: "t", type: "count_words", data: { txt: "" } });
    const failed = await cluster.taskOnce("t", ({ status }) => status === "failed", "the task to fail");
    expect(failed).toMatchObject({ attempt: 1, error: { retryable: false } });
    await agent.said(/failed t, attempt 1/);
    await cluster.submit({ id: "next", type: "count_words", data: { text: "" } });
    expect((await cluster.taskOnce("next", isDone, "the next one")).result).toEqual({ words: 0 });
  });

  it("holds a lock as long as it needs it, and no other agent gets it meanwhile", async () => {
    const cluster = api.cluster();
    const other = await cluster.register("other", { capabilities: [], heartbeat_timeout_seconds: 3600 });
    await using agent = await start(cluster, "a");
    const data = { resource: "db/orders é", steps: 40, step_seconds: 0.1 };
    await cluster.submit({ id: "first", type: "use_lock", data });
    const lock = () => until(async () => (await cluster.locks()).items[0], "the lock to be held");
    const granted = await lock();
    expect(granted).toMatchObject({ resource: "db/orders é", holder: "a" });
    // A second task of the same agent has to wait like any other.
    await cluster.submit({ id: "second", type: "use_lock", data: { ...data, steps: 1 } });
    await cluster.taskOnce("second", isRunning, "the second to run");

    await until(async () => (await lock()).expires_at !== granted.expires_at, "the lock to be renewed");
    const refused = await other.tryAcquire(encodeURIComponent(data.resource));
    expect(refused.problem(409, "lock_held")).toMatchObject({ holder: "a" });

    const first = await cluster.taskOnce("first", isDone, "the first to be done");
    const second = await cluster.taskOnce("second", isDone, "the second to be done");
    expect(first.result).toEqual({ fencing_token: granted.fencing_token });
    const { fencing_token } = second.result as { fencing_token: number };
    expect(fencing_token).toBeGreaterThan(granted.fencing_token);
    expect((await other.acquire(encodeURIComponent(data.resource))).fencing_token).toBeGreaterThan(
      fencing_token,
    );
    expect(agent.output()).not.toContain("lost");
  });

  it("fails a task that has lost its lock", async () => {
    const cluster = api.cluster();
    await using agent = await start(cluster, "a");
    const data = { resource: "disk", steps: 9000, step_seconds: 0.1 };
    await cluster.submit({ id: "t", type: "use_lock", data });
    await cluster.taskOnce("t", ({ progress }) => (progress ?? 0) > 0, "the steps under the lock");
    expect((await cluster.request("DELETE", "/groups/default/locks/disk")).status).toBe(200);
    await agent.said(/lost the lock disk/);
    const failure = await until(async () => (await cluster.failures()).items[0], "the failure");
    expect(failure).toMatchObject({ failure_type: "task_failure", agent_id: "a" });
  });

  it(
    "keeps working while the server is down, and its results count once",
    async () => {
      const cluster = api.cluster();
      const gate = await closedGate(cluster);
      await using agent = await start(cluster, "a");
      await gate.task("gated");
      await cluster.taskOnce("gated", isRunning, "the gated one to run");
      await cluster.submit({ id: "steps", type: "take_steps", data: { steps: 20, step_seconds: 0.1 } });
      await cluster.taskOnce("steps", ({ progress }) => (progress ?? 0) > 0, "the steps to get on");
      await api.server.kill();
      await agent.said(/tasks\/steps\/complete was not answered/);
      await api.server.restart();

      const steps = await cluster.taskOnce("steps", isDone, "the steps to be done");
      expect(steps).toMatchObject({ attempt: 1, result: { steps: 20 } });
      expect(await cluster.task("gated")).toMatchObject({ status: "running", attempt: 1 });
      await gate.open();
      expect(await cluster.taskOnce("gated", isDone, "the gated one")).toMatchObject({ attempt: 1 });
      await cluster.submit({ id: "next", type: "count_words", data: { text: "still here" } });
      expect((await cluster.taskOnce("next", isDone, "the next one")).result).toEqual({ words: 2 });

      expect((await cluster.failures()).items).toEqual([]);
      for (const id of ["gated", "steps", "next"]) expect(agent.count(new RegExp(`works on ${id},`))).toBe(1);
      expect(agent.count(/registered/)).toBe(1);
      expect(await agent.terminate(), agent.output()).toBe(0);
      expect((await cluster.agents()).items.map(({ id }) => id)).toEqual(["keeper"]);
    },
    TEST_LIMIT_MS,
  );

  it("registers again when its incarnation has ended, and keeps its running tasks", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a");
    await gate.task("gated");
    await cluster.taskOnce("gated", isRunning, "the gated one to run");
    const { incarnation } = await cluster.agent("a");
    await cluster.post("/agents/a/failures", { failure_type: "suspicion" });
    await until(async () => (await cluster.agent("a")).incarnation > incarnation, "the next incarnation");
    expect(await cluster.task("gated")).toMatchObject({ status: "running", attempt: 1 });
    await gate.open();
    expect(await cluster.taskOnce("gated", isDone, "the gated one")).toMatchObject({ attempt: 1 });
    await cluster.submit({ id: "next", type: "take_steps", data: { steps: 1, step_seconds: 0 } });
    await cluster.taskOnce("next", isDone, "the next one");
    expect(agent.count(/works on gated,/), agent.output()).toBe(1);
    expect(await agent.terminate(), agent.output()).toBe(0);
  });

  it("leaves its task to the new holder after it was declared failed, and gets it under a new attempt when it is back", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a");
    await gate.task("gated");
    await cluster.taskOnce("gated", isRunning, "the gated one to run");
    await using other = await start(cluster, "b");
    await cluster.post("/agents/a/failures", { failure_type: "suspicion" });
    await other.said(/works on gated, attempt 2/);
    await agent.said(/registered, incarnation/, 2);

    await cluster.post("/agents/b/failures", { failure_type: "suspicion" });
    await agent.said(/works on gated, attempt 3/);
    await gate.open();
    expect(await cluster.taskOnce("gated", isDone, "the gated one")).toMatchObject({ attempt: 3 });
    await agent.said(/gave up gated, attempt 1/);
    // The agent may have got the lock first: its result does not count then.
    await other.said(/gave up gated, attempt 2|complete of gated, attempt 2, was refused/);
    for (const one of [agent, other]) expect(await one.terminate(), one.output()).toBe(0);
  });

  it("stops a task that it no longer holds", async () => {
    const cluster = api.cluster();
    await using agent = await start(cluster, "a");
    await cluster.submit({ id: "long", type: "take_steps", data: { steps: 9000, step_seconds: 0.1 } });
    await cluster.taskOnce("long", isRunning, "the long one to run");
    expect((await cluster.post("/tasks/long/cancel")).status).toBe(200);
    await agent.said(/gave up long, attempt 1/);
    await cluster.submit({ id: "next", type: "count_words", data: { text: "still here" } });
    await cluster.taskOnce("next", isDone, "the next one");
    expect(await cluster.task("long")).toMatchObject({ status: "cancelled" });
  });

  it("finishes its running tasks within its grace when it is terminated", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a");
    await gate.task("gated");
    // Not only the coordinator: the agent has the answer to its start too, which is its permission to work.
    await agent.said(/works on gated,/);
    agent.signal("SIGTERM");
    await until(async () => (await cluster.agent("a")).status === "draining", "the agent to drain");
    await cluster.submit({ id: "next", type: "count_words", data: { text: "not any more" } });
    await gate.open();
    expect(await agent.gone(), agent.output()).toBe(0);
    expect(await cluster.task("gated")).toMatchObject({ status: "completed", attempt: 1 });
    expect(await cluster.task("next")).toMatchObject({ status: "pending" });
    expect((await cluster.agents()).items.map(({ id }) => id)).toEqual(["keeper"]);
  });

  it("gives back a task that takes longer than its grace when it is terminated", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a", { GRACE_SECONDS: "0" });
    await gate.task("gated");
    await cluster.submit({ id: "long", type: "take_steps", data: { steps: 9000, step_seconds: 0.1 } });
    await cluster.taskOnce("gated", isRunning, "the gated one to run");
    await cluster.taskOnce("long", isRunning, "the long one to run");
    await using other = await start(cluster, "b");
    expect(await agent.terminate(), agent.output()).toBe(0);
    for (const id of ["gated", "long"]) await other.said(new RegExp(`works on ${id}, attempt 2`));
    await gate.open();
    await cluster.taskOnce("gated", isDone, "the gated one");
    expect((await cluster.failures()).items).toEqual([]);
  });

  it("loses its task to another agent after kill -9, and leaves no process or file behind", async () => {
    const cluster = api.cluster();
    const gate = await closedGate(cluster);
    await using agent = await start(cluster, "a");
    await gate.task("gated");
    await cluster.taskOnce("gated", isRunning, "the gated one to run");
    await using other = await start(cluster, "b");
    agent.signal("SIGKILL");
    expect(await agent.gone()).toBeNull();
    await other.said(/works on gated, attempt 2/);
    await gate.open();
    const gated = await cluster.taskOnce("gated", isDone, "the gated one");
    expect(gated).toMatchObject({ attempt: 2, previous_agents: ["a"] });
    const [failure, ...others] = (await cluster.failures()).items;
    expect(failure).toMatchObject({ agent_id: "a", failure_type: "heartbeat_timeout", tasks_reassigned: 1 });
    expect(others).toEqual([]);
    expect(agent.leftFiles()).toEqual([]);
  });

  it("says that an answer is not of a coordinator, and asks again", { timeout: TEST_LIMIT_MS }, async () => {
    const cluster = api.cluster();
    const late = { status: 408, type: "application/problem+json", body: '{"code":"request_timeout"}' };
    await using proxy = await OddProxy.before(api.server.url, [
      { matches: /^PUT /, answers: oddAnswers() },
      ...[/^GET .*wait_seconds/, /\/start$/, /\/acquire$/, /\/renew$/, /\/complete$/, /\/heartbeat$/].map(
        (matches) => ({ matches, answers: [...oddAnswers().slice(2, 4), late] }),
      ),
    ]);
    const data = { resource: "disk", steps: 1, step_seconds: 4 };
    await cluster.submit({ id: "t", type: "use_lock", data });
    await using agent = await start(cluster, "a", { URL: proxy.url, HEARTBEAT_TIMEOUT_SECONDS: "20" });

    await agent.said(/answer .*is not of a coordinator/);
    await cluster.taskOnce("t", isDone, "the task");
    await until(() => proxy.isSpent(), "the odd answers to be given");

    expect(await agent.terminate(), agent.output()).toBe(0);
    expect(agent.output()).not.toMatch(/Traceback|\.py"|\.sh: line|KeyError|invalid timeout/);
    expect(agent.leftFiles()).toEqual([]);
  });

  it("says what refused its registration if that is no coordinator", async () => {
    const page = { status: 404, type: "text/html", body: "<!doctype html>not here" };
    await using proxy = await OddProxy.before(api.server.url, [{ matches: /^PUT /, answers: [page] }]);
    await using agent = new Program(language, {
      URL: proxy.url,
      TOKEN: "some-token",
      ADMIN_TOKEN: "",
      AGENT_ID: "a",
    });

    expect(await agent.gone()).toBe(1);
    await agent.said(/404.*is not of a coordinator/);
    expect(agent.output()).not.toMatch(/Traceback|None|\.sh: line/);
  });

  it("explains its arguments with --help, and names a missing setting", async () => {
    await using help = new Program(language, {}, ["--help"]);
    expect(await help.gone()).toBe(0);
    await help.said(/HEARTBEAT_INTERVAL_SECONDS|heartbeat-interval-seconds/);
    await using lost = new Program(language, { ADMIN_TOKEN: "", TOKEN: "", AGENT_ID: "a" });
    expect(await lost.gone()).toBeGreaterThan(0);
    await lost.said(/TOKEN/);
    await using stranger = new Program(language, {
      URL: api.server.url,
      TOKEN: "",
      ADMIN_TOKEN: "not-the-token-of-that-server",
      AGENT_ID: "a",
    });
    expect(await stranger.gone()).toBe(1);
    await stranger.said(/401/);
  });
}
