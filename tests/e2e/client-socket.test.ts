/** The TypeScript client against a real server, over sockets. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  Agent,
  type AgentEvents,
  type AgentOptions,
  DistributedCoordinator,
} from "../../client/src/index.ts";
import { ClientAgentProcess } from "../support/client-agent-process.ts";
import { clientSuite } from "../support/client-suite.ts";
import { SILENT_AGENT, silentAgentFails } from "../support/silent-agent.ts";
import { until } from "../support/until.ts";

const suite = clientSuite("socket");

const TIMING = { heartbeat_interval_seconds: 0.5, heartbeat_timeout_seconds: 2 };

function freshCluster() {
  const access = suite.freshAccess();
  const coordinator = new DistributedCoordinator(access);
  const agent = (id: string, options: Partial<AgentOptions> = {}) => {
    const made = new Agent({
      ...access,
      heartbeatIntervalSeconds: TIMING.heartbeat_interval_seconds,
      heartbeatTimeoutSeconds: TIMING.heartbeat_timeout_seconds,
      handleSignals: false,
      id,
      ...options,
    });
    suite.keep(made);
    return made;
  };
  const process = (id: string, workMs: number, options: Partial<AgentOptions> = {}) =>
    ClientAgentProcess.start({ ...access, id, workMs, ...options });
  return { access, coordinator, agent, process };
}

/** The first event of that name from now on. */
const next = <Name extends keyof AgentEvents>(agent: Agent, name: Name) =>
  new Promise<AgentEvents[Name]>((resolve) => agent.listen(name, resolve));

async function connected(agent: Agent): Promise<Agent> {
  const inTouch = next(agent, "connected");
  await agent.start();
  expect(await inTouch).toEqual({ transport: "socket" });
  return agent;
}

describe("an agent with a socket", () => {
  it("stays active by its pings, and completes the tasks that are pushed", async () => {
    const { access, coordinator, agent } = freshCluster();
    const worker = await connected(agent("a").on<number>("work", ({ data }) => data * 2));
    await silentAgentFails(suite.clusterOf(access), TIMING);
    expect((await coordinator.agents.get("a")).status).toBe("active");
    const tasks = Array.from({ length: 50 }, (_, data) => ({ id: `t${data}`, type: "work", data }));
    await coordinator.tasks.submitAll(tasks);
    const ended = await Promise.all(tasks.map(({ id }) => coordinator.tasks.wait(id)));
    expect(ended.map(({ result, attempt }) => [result, attempt])).toEqual(
      tasks.map(({ data }) => [data * 2, 1]),
    );
    await worker.stop();
    expect(await coordinator.getFailureHistory()).toMatchObject([{ agent_id: SILENT_AGENT }]);
    expect((await coordinator.agents.list()).items.map(({ id }) => id)).toEqual([SILENT_AGENT]);
  });

  it("aborts a task at once when it is cancelled", async () => {
    const { coordinator, agent } = freshCluster();
    const worker = agent("a", { heartbeatIntervalSeconds: 60, heartbeatTimeoutSeconds: 180 });
    worker.on("work", (_, { signal }) => delay(60_000, undefined, { signal }));
    await connected(worker);
    await coordinator.assignTask({ id: "t1", type: "work" });
    await until(async () => (await coordinator.tasks.get("t1")).status === "running", "the task to run");
    const revoked = next(worker, "revoked");
    await coordinator.tasks.cancel("t1");
    expect(await revoked).toMatchObject({ task: { id: "t1" }, reason: "cancelled" });
  });

  it("is notified of a drain, and of its end", async () => {
    const { coordinator, agent } = freshCluster();
    const worker = await connected(agent("a").on("work", () => "done"));
    const told = next(worker, "drain");
    await coordinator.agents.drain("a");
    expect(await told).toMatchObject({ mode: "finish" });
    expect((await coordinator.agents.get("a")).status).toBe("draining");
    await coordinator.assignTask({ id: "t1", type: "work" });
    expect((await coordinator.tasks.get("t1")).status).toBe("pending");
    const again = next(worker, "drain");
    await coordinator.agents.resume("a");
    expect(await again).toMatchObject({ mode: null });
    expect((await coordinator.tasks.wait("t1")).status).toBe("completed");
  });

  it("handles messages that are pushed", async () => {
    const { coordinator, agent } = freshCluster();
    const got = Promise.withResolvers<unknown>();
    await connected(agent("a").onMessage(({ content }) => got.resolve(content)));
    await coordinator.agents.sendMessage("a", { message_type: "m", content: { n: 1 } });
    expect(await got.promise).toEqual({ n: 1 });
  });

  it("registers again when its incarnation has ended", async () => {
    const { coordinator, agent } = freshCluster();
    const worker = await connected(agent("a").on("work", () => "done"));
    const registered = next(worker, "registered");
    await coordinator.agents.reportFailure("a", { failure_type: "suspicion" });
    await registered;
    await coordinator.assignTask({ id: "t1", type: "work" });
    expect((await coordinator.tasks.wait("t1")).status).toBe("completed");
  });

  it("has a late result kept until an operator accepts it", async () => {
    const { coordinator, agent } = freshCluster();
    const done = Promise.withResolvers<void>();
    const worker = agent("a").on("work", async (_, { attempt, signal }) => {
      // The first attempt ignores its signal, as expensive work may.
      await (attempt === 1 ? done.promise : delay(30_000, undefined, { signal }));
      return `of attempt ${attempt}`;
    });
    const other = agent("b").on("work", (_, { signal }) => delay(30_000, "other", { signal }));
    await connected(worker);
    const late = next(worker, "lateResult");
    await coordinator.assignTask({ id: "t1", type: "work", timeout_seconds: 1 });
    await connected(other);
    await until(async () => (await coordinator.tasks.get("t1")).attempt > 1, "the next attempt");
    done.resolve();
    expect((await late).task.id).toBe("t1");
    const { items } = await coordinator.tasks.lateResults("t1");
    expect(items).toMatchObject([{ attempt: 1, agent_id: "a", result: "of attempt 1" }]);
    expect(await coordinator.tasks.acceptLateResult("t1", 1)).toMatchObject({
      status: "completed",
      result: "of attempt 1",
    });
  });
});

describe("a process with a socket", () => {
  it("that is killed with -9 is noticed long before its timeout", async () => {
    const { coordinator, process } = freshCluster();
    await using first = await process("a", 60_000, {
      heartbeatIntervalSeconds: 20,
      heartbeatTimeoutSeconds: 60,
    });
    await first.hear("connected socket");
    await coordinator.assignTask({ id: "t1", type: "work" });
    await first.hear("began", "t1");
    await using second = await process("b", 100);
    await first.kill();
    expect((await second.hear("began", "t1")).attempt).toBe(2);
    expect((await coordinator.tasks.wait("t1")).status).toBe("completed");
    expect(await coordinator.getFailureHistory()).toMatchObject([
      { agent_id: "a", failure_type: "connection_lost" },
    ]);
  });

  it("survives a server that is killed and restarted: every task is done once", async () => {
    const { coordinator, process } = freshCluster();
    await using first = await process("a", 800);
    await using second = await process("b", 800);
    await Promise.all([first.hear("connected socket"), second.hear("connected socket")]);
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
    await until(
      async () => first.said.items.filter(({ what }) => what === "connected socket").length > 1,
      "the socket to be back",
    );
  });
});
