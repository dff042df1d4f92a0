/** The TypeScript client against a real server, over HTTP: producers, agents, locks, messages, outages. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  Agent,
  type AgentOptions,
  DistributedCoordinator,
  LockHeldError,
  NotFoundError,
  TaskExistsError,
} from "../../client/src/index.ts";
import { ClientAgentProcess } from "../support/client-agent-process.ts";
import { clientSuite } from "../support/client-suite.ts";
import { SILENT_AGENT, silentAgentFails } from "../support/silent-agent.ts";
import { until } from "../support/until.ts";

const suite = clientSuite("client");

const TIMING = { heartbeat_interval_seconds: 0.5, heartbeat_timeout_seconds: 2 };

/** A cluster that no other test uses. */
function freshCluster() {
  const access = suite.freshAccess();
  const coordinator = new DistributedCoordinator(access);
  const agent = (id: string, options: Partial<AgentOptions> = {}) => {
    const quick = {
      heartbeatIntervalSeconds: TIMING.heartbeat_interval_seconds,
      heartbeatTimeoutSeconds: TIMING.heartbeat_timeout_seconds,
      transport: "http",
      handleSignals: false,
    } as const;
    const made = new Agent({ ...access, ...quick, id, ...options });
    suite.keep(made);
    return made;
  };
  const process = (id: string, workMs: number) =>
    ClientAgentProcess.start({
      ...access,
      id,
      workMs,
      heartbeatIntervalSeconds: 0.3,
      heartbeatTimeoutSeconds: 1.2,
      transport: "http",
    });
  return { access, coordinator, agent, process };
}

describe("the example of docs/origin.md", () => {
  it("works as written there, with the names of the TypeScript client", async () => {
    const { coordinator } = freshCluster();
    await coordinator.registerAgent("agent1", "worker", ["task_type1", "task_type2"], "http://agent1");
    await coordinator.registerAgent("agent2", "worker", ["task_type1", "task_type3"], "http://agent2");
    const task = { id: "task1", type: "task_type1", priority: 5, data: { input: "data1" } };
    expect(["agent1", "agent2"]).toContain(await coordinator.assignTask(task));
    expect(await coordinator.getFailureHistory()).toEqual([]);
    const status = await coordinator.getClusterStatus();
    expect(status).toMatchObject({ active_agents: 2, inactive_agents: 0, failure_count: 0 });
    const { failover_config } = await coordinator.initFailoverStrategy("failover");
    expect(failover_config).toMatchObject({
      use_failover_strategy: true,
      failover_strategy_type: "failover",
    });
    await coordinator.initFailoverStrategy("backup_agent");
    expect((await coordinator.getClusterStatus()).strategy).toBe("backup_agent");
    await coordinator.initFailoverStrategy("basic");
    expect((await coordinator.getClusterStatus()).strategy).toBe("basic");
  });
});

describe("a producer", () => {
  it("submits, waits, lists, explains, cancels and retries", async () => {
    const { coordinator, agent } = freshCluster();
    const { task, decision } = await coordinator.tasks.submit({ id: "t1", type: "work" });
    expect([task.status, decision?.selected ?? null]).toEqual(["pending", null]);
    expect((await coordinator.tasks.submit({ id: "t1", type: "work" })).task.id).toBe("t1");
    await expect(coordinator.tasks.submit({ id: "t1", type: "other" })).rejects.toBeInstanceOf(
      TaskExistsError,
    );
    await expect(coordinator.tasks.get("t2")).rejects.toBeInstanceOf(NotFoundError);
    expect((await coordinator.tasks.wait("t1", { waitSeconds: 0.1 })).status).toBe("pending");

    let tries = 0;
    const worker = agent("a").on("work", () => {
      if (tries++ === 0) throw Object.assign(new Error("no"), { retryable: false });
      return "yes";
    });
    await worker.start();
    expect(await coordinator.tasks.wait("t1")).toMatchObject({ status: "failed", error: { message: "no" } });
    await coordinator.tasks.retry("t1");
    expect(await coordinator.tasks.wait("t1")).toMatchObject({ status: "completed", result: "yes" });

    const reasons: string[] = [];
    for await (const { reason } of coordinator.tasks.decisions("t1")) reasons.push(reason);
    expect(reasons.length).toBeGreaterThan(0);
    await coordinator.tasks.submit({ id: "t3", type: "nobody-does" });
    expect((await coordinator.tasks.cancel("t3")).status).toBe("cancelled");
    expect((await coordinator.tasks.list({ status: "cancelled" })).items.map(({ id }) => id)).toEqual(["t3"]);
  });

  it("submits many tasks at once, and gets an outcome for each", async () => {
    const { coordinator } = freshCluster();
    const results = await coordinator.tasks.submitAll([{ type: "work" }, { type: "" }, { type: "work" }]);
    expect(results.map(({ task, error }) => task?.status ?? error?.code)).toEqual([
      "pending",
      "invalid_request",
      "pending",
    ]);
    const ids: string[] = [];
    for await (const { id } of coordinator.tasks.list({ limit: 1 })) ids.push(id);
    expect(ids).toHaveLength(2);
  });

  it("receives the events", async () => {
    const { coordinator } = freshCluster();
    await coordinator.registerAgent({ id: "a", type: "worker", capabilities: ["work"] });
    await coordinator.assignTask({ id: "t1", type: "work" });
    const heard: string[] = [];
    for await (const { type, subject } of coordinator.events({ after: 0 })) {
      heard.push(`${type} ${subject}`);
      if (type === "task.assigned") break;
    }
    expect(heard).toContain("agent.registered a");
    expect(heard).toContain("task.assigned t1");
  });

  it("simulates a failover, and reads the readiness", async () => {
    const { coordinator } = freshCluster();
    await coordinator.registerAgent({ id: "a", type: "worker", capabilities: ["work"] });
    await coordinator.assignTask({ id: "t1", type: "work" });
    expect((await coordinator.simulateFailover({ agents: ["a"] })).stranded).toEqual(["t1"]);
    const { ready, single_capabilities } = await coordinator.readiness();
    expect([ready, single_capabilities]).toEqual([false, [{ capability: "work", agent_id: "a" }]]);
    const failure = await coordinator.agents.reportFailure("a", { failure_type: "gone" });
    expect(failure).toMatchObject({ agent_id: "a", failure_type: "gone" });
    expect((await coordinator.failures.get(failure.id)).id).toBe(failure.id);
    expect((await coordinator.agents.list({ status: "inactive" })).items.map(({ id }) => id)).toEqual(["a"]);
  });

  it("changes the configuration only if it has not changed since it was read", async () => {
    const { coordinator } = freshCluster();
    const { etag, config } = await coordinator.config.get();
    expect(config.failover_config.enabled).toBe(true);
    const changed = await coordinator.config.patch(
      { failover_config: { max_reassignment_attempts: 7 } },
      { ifMatch: etag },
    );
    expect(changed.config.failover_config.max_reassignment_attempts).toBe(7);
    expect(changed.applied).toEqual({ agents: 0, keep_own: 0 });
    await expect(coordinator.config.patch({}, { ifMatch: etag })).rejects.toMatchObject({
      code: "config_changed",
    });
    await coordinator.config.put(changed.config, { ifMatch: changed.etag });
    const back = await coordinator.config.patch({ failover_config: { max_reassignment_attempts: null } });
    expect(back.config.failover_config.max_reassignment_attempts).toBe(
      config.failover_config.max_reassignment_attempts,
    );
  });
});

describe("an agent", () => {
  it("completes its tasks, and unregisters without a failure", async () => {
    const { coordinator, agent } = freshCluster();
    const worker = agent("a").on<{ input: number }>("work", ({ data }, { attempt }) => ({
      output: data.input * 2,
      attempt,
    }));
    await worker.start();
    const tasks = Array.from({ length: 20 }, (_, input) => ({
      id: `t${input}`,
      type: "work",
      data: { input },
    }));
    await coordinator.tasks.submitAll(tasks);
    const ended = await Promise.all(tasks.map(({ id }) => coordinator.tasks.wait(id)));
    expect(ended.map(({ result }) => result)).toEqual(
      tasks.map(({ data }) => ({ output: data.input * 2, attempt: 1 })),
    );
    await worker.stop();
    expect(await coordinator.getClusterStatus()).toMatchObject({ total_agents: 0, failure_count: 0 });
  });

  it("stays active while a handler works for longer than its timeout", async () => {
    const { access, coordinator, agent } = freshCluster();
    const [began, done] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    const worker = agent("a").on("work", () => {
      began.resolve();
      return done.promise;
    });
    await worker.start();
    await coordinator.assignTask({ id: "t1", type: "work" });
    await began.promise;
    await silentAgentFails(suite.clusterOf(access), TIMING);
    done.resolve("long");
    expect(await coordinator.tasks.wait("t1")).toMatchObject({
      status: "completed",
      attempt: 1,
      result: "long",
    });
    expect(await coordinator.getFailureHistory()).toMatchObject([{ agent_id: SILENT_AGENT }]);
  });

  it("aborts a task that was cancelled", async () => {
    const { coordinator, agent } = freshCluster();
    const aborted = Promise.withResolvers<string>();
    const worker = agent("a").on("work", async (_, { signal }) => {
      signal.addEventListener("abort", () => aborted.resolve(String(signal.reason)));
      await delay(60_000, undefined, { signal });
    });
    await worker.start();
    await coordinator.assignTask({ id: "t1", type: "work" });
    await until(async () => (await coordinator.tasks.get("t1")).status === "running", "the task to run");
    await coordinator.tasks.cancel("t1");
    expect(await aborted.promise).toContain("reassigned");
  });

  it("holds a lock for one of its tasks at a time, for as long as the task takes", async () => {
    const { coordinator, agent } = freshCluster();
    const [first, second] = [agent("a"), agent("b")];
    await Promise.all([first.start(), second.start()]);
    const tokens: number[] = [];
    let inside = 0;
    const ttlSeconds = 0.5;
    const use = async (token: number, signal: AbortSignal) => {
      expect(++inside).toBe(1);
      // Renewed a whole TTL after it was acquired, or later.
      await until(async () => {
        const { acquired_at, expires_at } = await coordinator.locks.get("db/orders");
        return Date.parse(expires_at ?? "") >= Date.parse(acquired_at ?? "") + 2000 * ttlSeconds;
      }, "the lock to be held for longer than its TTL");
      signal.throwIfAborted();
      tokens.push(token);
      inside--;
    };
    await Promise.all([first, first, second].map((one) => one.withLock("db/orders", use, { ttlSeconds })));
    expect(tokens).toEqual([1, 2, 3]);
    await expect(coordinator.locks.get("db/orders")).rejects.toBeInstanceOf(NotFoundError);
    const done = Promise.withResolvers<void>();
    const held = first.withLock("x", () => done.promise);
    await until(async () => (await coordinator.locks.list()).items.length === 1, "the lock to be held");
    await expect(second.withLock("x", () => null, { waitSeconds: 0 })).rejects.toMatchObject({
      constructor: LockHeldError,
      evidence: { holder: "a" },
    });
    done.resolve();
    await held;
  });

  it("that stops waiting for a lock leaves the queue, and the next waiter gets the lock at once", async () => {
    const { coordinator, agent } = freshCluster();
    const [holder, quitter, next] = [agent("a"), agent("b"), agent("c")];
    await Promise.all([holder, quitter, next].map((one) => one.start()));
    const done = Promise.withResolvers<void>();
    const [granted, settled] = [Promise.withResolvers<number>(), Promise.withResolvers<void>()];
    const long = { ttlSeconds: 600, waitSeconds: 30 };
    const held = holder.withLock("x", () => done.promise, long);
    const isInLine = async (...ids: string[]) => {
      const [lock] = (await coordinator.locks.list()).items;
      return lock?.waiters.join() === ids.join() && lock.holder;
    };
    await until(() => isInLine(), "the lock to be held");

    const caller = new AbortController();
    const given = quitter.withLock("x", () => "never", { ...long, signal: caller.signal });
    await until(() => isInLine("b"), "b in line");
    const waiting = next.withLock(
      "x",
      (token) => {
        granted.resolve(token);
        return settled.promise;
      },
      long,
    );
    await until(() => isInLine("b", "c"), "c in line behind b");

    caller.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    await until(() => isInLine("c"), "b to be gone", 5000);
    const releasedAtMs = performance.now();
    done.resolve();
    await held;
    // No other grant happened in between: b took no token.
    expect(await granted.promise).toBe(2);
    expect(performance.now() - releasedAtMs).toBeLessThan(5000);
    expect(await isInLine()).toBe("c");
    settled.resolve();
    await waiting;
    expect((await coordinator.locks.list()).items).toEqual([]);
  });

  it("loses a lock that an operator breaks, and is notified", async () => {
    const { coordinator, agent } = freshCluster();
    const worker = agent("a");
    await worker.start();
    const held = worker.withLock("x", (_, signal) => delay(20_000, undefined, { signal }), { ttlSeconds: 1 });
    held.catch(() => {});
    await until(async () => (await coordinator.locks.list()).items.length === 1, "the lock to be held");
    await coordinator.locks.break("x");
    await expect(held).rejects.toThrow();
  });

  it("handles messages in order, and acknowledges each after it was handled", async () => {
    const { coordinator, agent } = freshCluster();
    const got: unknown[] = [];
    const reader = agent("a").onMessage(({ from, content }) => got.push([from, content]));
    const writer = agent("b");
    await Promise.all([reader.start(), writer.start()]);
    await coordinator.agents.sendMessage("a", { message_type: "m", content: 1 });
    await writer.sendMessage("a", { message_type: "m", content: { two: 2 } });
    await until(async () => got.length === 2, "the messages");
    expect(got).toEqual([
      ["@operator", 1],
      ["b", { two: 2 }],
    ]);
  });

  it("registers again after it was declared failed, and keeps the tasks that have not moved", async () => {
    const { coordinator, agent } = freshCluster();
    const done = Promise.withResolvers<string>();
    const worker = agent("a").on("work", () => done.promise);
    await worker.start();
    await coordinator.assignTask({ id: "t1", type: "work" });
    await until(async () => (await coordinator.tasks.get("t1")).status === "running", "the task to run");
    const before = worker.incarnation ?? 0;
    await coordinator.agents.reportFailure("a", { failure_type: "suspicion" });
    await until(() => (worker.incarnation ?? 0) > before, "the next incarnation");
    done.resolve("kept");
    expect((await coordinator.tasks.wait("t1")).status).toBe("completed");
  });
});

describe("a process with an agent", () => {
  it("that is killed with -9 loses its task to another agent", async () => {
    const { coordinator, process } = freshCluster();
    await using first = await process("a", 60_000);
    await coordinator.assignTask({ id: "t1", type: "work" });
    await first.hear("began", "t1");
    await using second = await process("b", 100);
    await first.kill();
    const began = await second.hear("began", "t1");
    expect(began.attempt).toBe(2);
    expect(await coordinator.tasks.wait("t1")).toMatchObject({
      status: "completed",
      result: { by: "b" },
      previous_agents: ["a"],
    });
    expect(await coordinator.getFailureHistory()).toMatchObject([
      { agent_id: "a", failure_type: "heartbeat_timeout", tasks_reassigned: 1 },
    ]);
  });

  it("that is terminated finishes running tasks, gives back the others, and exits", async () => {
    const { coordinator, process } = freshCluster();
    await using agent = await process("a", 500);
    await coordinator.assignTask({ id: "t1", type: "work" });
    await agent.hear("began", "t1");
    // Ended by the signal itself, as without a handler.
    expect(await agent.terminate()).toBeNull();
    expect(agent.said.items.map(({ what }) => what)).toContain("stopped");
    expect(await coordinator.tasks.get("t1")).toMatchObject({ status: "completed", result: { by: "a" } });
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});

describe("a server that is killed and restarted while tasks run", () => {
  it("has every task done once", async () => {
    const { coordinator, process } = freshCluster();
    await using first = await process("a", 800);
    await using second = await process("b", 800);
    const tasks = Array.from({ length: 16 }, (_, at) => ({ id: `t${at}`, type: "work" }));
    await coordinator.tasks.submitAll(tasks);
    await Promise.all([first.hear("began"), second.hear("began")]);
    await suite.server.kill();
    // Both hold a result that they cannot report yet.
    await Promise.all([first.hear("ended"), second.hear("ended")]);
    await suite.server.restart();
    const ended = await Promise.all(tasks.map(({ id }) => coordinator.tasks.wait(id, { waitSeconds: 30 })));
    expect(ended.map(({ status }) => status)).toEqual(tasks.map(() => "completed"));
    const began = [...first.said.items, ...second.said.items].filter(({ what }) => what === "began");
    expect(began.map(({ task }) => task).sort()).toEqual(tasks.map(({ id }) => id).sort());
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});
