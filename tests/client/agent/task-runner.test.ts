/** The tasks of an agent, over HTTP. */
import { describe, expect, it } from "vitest";
import { TaskRevokedError } from "../../../client/src/index.ts";
import { coordinatorWithAgents, json, noAnswer, pass, problem, task } from "../fakes.ts";
import { agentOf, agentSuite, reportsOf, worker } from "./agent-fixture.ts";

agentSuite();

describe("tasks", () => {
  it("a handler runs after the coordinator permits it, and at most maxConcurrentTasks run at a time", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator, { maxConcurrentTasks: 2 });
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"), task("t3"));
    await pass(1);
    expect(running.map(({ id }) => id)).toEqual(["t1", "t2"]);
    expect(reportsOf(coordinator, "start")).toHaveLength(2);
    running[0]?.end({ output: 1 });
    await pass(1);
    expect(running.map(({ id }) => id)).toEqual(["t1", "t2", "t3"]);
    expect(reportsOf(coordinator, "complete")).toEqual([
      ["t1", { agent_id: "a", attempt: 1, result: { output: 1 } }],
    ]);
  });

  it("no handler runs for a task whose start is refused", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("POST", /start$/, () =>
      problem(409, "stale_attempt", { attempt: 2, assigned_to: "b" }),
    );
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(0.1);
    coordinator.hold();
    await pass(1);
    expect(running).toEqual([]);
    expect(heard.error).toBeUndefined();
  });

  it("a task whose handler throws fails, and is not retried if the error has retryable: false", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"), task("t3"));
    await pass(1);
    running[0]?.fail(new Error("broken"));
    running[1]?.fail(Object.assign(new Error("hopeless"), { retryable: false }));
    running[2]?.end(1n);
    await pass(1);
    expect(reportsOf(coordinator, "fail")).toEqual([
      ["t1", { agent_id: "a", attempt: 1, error: { message: "broken", retryable: true } }],
      ["t2", { agent_id: "a", attempt: 1, error: { message: "hopeless", retryable: false } }],
      [
        "t3",
        { agent_id: "a", attempt: 1, error: { message: expect.stringContaining("BigInt"), retryable: true } },
      ],
    ]);
  });

  it("a result is reported until the coordinator answers", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.inTurn(
      "POST",
      /complete$/,
      noAnswer,
      noAnswer,
      () => problem(503, "unavailable"),
      () => json({ task: { id: "t1" } }),
    );
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    running[0]?.end();
    await pass(60);
    expect(reportsOf(coordinator, "complete")).toHaveLength(4);
    expect(heard.reported).toEqual([{ task: { id: "t1" } }]);
  });

  it("a task whose result is refused fails", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("POST", /complete$/, () => problem(413, "payload_too_large"));
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    running[0]?.end("x");
    await pass(1);
    expect(reportsOf(coordinator, "fail")).toEqual([
      [
        "t1",
        {
          agent_id: "a",
          attempt: 1,
          error: { message: expect.stringContaining("payload_too_large"), retryable: false },
        },
      ],
    ]);
  });

  it("a result of an attempt that is no longer current emits lateResult", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("POST", /complete$/, () =>
      problem(409, "stale_attempt", { attempt: 2, assigned_to: "b" }),
    );
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    running[0]?.end("dear");
    await pass(1);
    expect(heard.lateResult).toMatchObject([
      { task: { id: "t1" }, error: { evidence: { attempt: 2, assigned_to: "b" } } },
    ]);
    expect(heard.error).toBeUndefined();
  });

  it("progress() reports a fraction and rejects when the task was reassigned", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.inTurn(
      "POST",
      /progress$/,
      () => json({ task: {} }),
      noAnswer,
      () => problem(409, "stale_attempt"),
    );
    const { agent, heard } = agentOf(coordinator);
    const told: unknown[] = [];
    agent.on("work", async (_, { progress, signal }) => {
      for (const fraction of [0.1, 0.2, 0.3])
        await progress(fraction).catch((error: unknown) => told.push(error));
      told.push(signal.aborted);
      signal.throwIfAborted();
    });
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    expect(told).toEqual([expect.any(TaskRevokedError), true]);
    expect(heard.revoked).toMatchObject([{ task: { id: "t1" }, reason: "reassigned" }]);
    expect(reportsOf(coordinator, "fail")).toEqual([]);
  });

  it("a task that is no longer in the list of the coordinator is revoked at the next heartbeat", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10 });
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"));
    await pass(1);
    coordinator.hold({ ...task("t2"), status: "running" });
    await pass(10);
    expect(running.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    expect(running[0]?.signal.reason).toBeInstanceOf(TaskRevokedError);
    expect(heard.revoked).toHaveLength(1);
  });

  it("a finished task is not revoked when a list without it arrives before the answer to its report", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10 });
    coordinator.fake.on("POST", /complete$/, () => new Promise(() => {}));
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    let list = (_: Response) => {};
    coordinator.fake.on("GET", /tasks$/, ({ query }) =>
      query.has("status") ? new Promise<Response>((resolve) => (list = resolve)) : new Promise(() => {}),
    );
    await pass(9.5);
    // The list was asked for while it ran, and is answered when it is done.
    running[0]?.end("done");
    await pass(0.1);
    list(json({ items: [], next_cursor: null }));
    await pass(1);
    expect(reportsOf(coordinator, "complete")).toHaveLength(1);
    expect(running[0]?.signal.aborted).toBe(false);
    expect(heard.revoked).toBeUndefined();
  });

  it("a new attempt of a task starts after the old one has ended", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(1);
    coordinator.hold(task("t1", 2));
    await pass(1);
    expect(running.map(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([[1, true]]);
    running[0]?.fail(running[0].signal.reason);
    await pass(1);
    expect(running.map(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([
      [1, true],
      [2, false],
    ]);
    expect(reportsOf(coordinator, "fail")).toEqual([]);
  });

  it("a task of a type without a handler fails", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator, { capabilities: ["work", "other"] });
    await agent.start();
    coordinator.hold(task("t1", 1, "other"));
    await pass(1);
    expect(reportsOf(coordinator, "fail")).toMatchObject([
      ["t1", { error: { message: "this agent has no handler for other", retryable: true } }],
    ]);
  });
});
