/** An agent over HTTP: its registration, its tasks, its messages and its stop. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Agent, type AgentEvents, type AgentOptions, TaskRevokedError } from "../../client/src/index.ts";
import {
  coordinatorWithAgents,
  json,
  noAnswer,
  pass,
  problem,
  silence,
  startTime,
  stopTime,
  task,
} from "./fakes.ts";

beforeEach(stopTime);
afterEach(async () => {
  for (const agent of started.splice(0)) void agent.stop({ graceSeconds: 0 });
  await pass(2);
  startTime();
});

const started: Agent[] = [];

type Names = keyof AgentEvents;

function agentOf(coordinator: ReturnType<typeof coordinatorWithAgents>, options: Partial<AgentOptions> = {}) {
  const agent = new Agent({
    ...coordinator.fake.options,
    id: "a",
    transport: "http",
    handleSignals: false,
    ...options,
  });
  started.push(agent);
  const heard: { [Name in Names]?: AgentEvents[Name][] } = {};
  const names: Names[] = [
    "registered",
    "connected",
    "disconnected",
    "outOfTouch",
    "revoked",
    "reported",
    "lateResult",
    "error",
  ];
  for (const name of names) {
    agent.listen(name, (event) => {
      const before = (heard[name] ?? []) as unknown[];
      Object.assign(heard, { [name]: [...before, event] });
    });
  }
  return { agent, heard };
}

/** A handler whose attempts end when they are told to. */
function worker(agent: Agent) {
  const running: {
    id: string;
    attempt: number;
    signal: AbortSignal;
    end(result?: unknown): void;
    fail(error: unknown): void;
  }[] = [];
  agent.on("work", (task, { signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    running.push({ id: task.id, attempt: task.attempt, signal, end: resolve, fail: reject });
    return promise;
  });
  return running;
}

const reportsOf = (coordinator: ReturnType<typeof coordinatorWithAgents>, kind: string) =>
  coordinator.fake
    .made("POST", new RegExp(`^/tasks/[^/]+/${kind}$`))
    .map(({ path, body }) => [path.split("/")[2], body]);

describe("starting an agent", () => {
  it("an agent registers the task types of its handlers and sends a heartbeat at each interval", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10 });
    const { agent } = agentOf(coordinator, { labels: { zone: "a" } });
    worker(agent);
    agent.on("other", () => null);
    await agent.start();
    expect(coordinator.registrations.map(({ body }) => body)).toEqual([
      { type: "worker", capabilities: ["work", "other"], labels: { zone: "a" }, running_tasks: [] },
    ]);
    await pass(30.5);
    const beats = coordinator.fake.made("POST", /heartbeat$/);
    expect(beats).toHaveLength(4);
    expect(new Set(beats.map(({ headers }) => headers.get("Authorization")))).toEqual(
      new Set(["Bearer token-1"]),
    );
  });

  it("start() retries until the coordinator is reachable", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent, heard } = agentOf(coordinator);
    const registered = {
      incarnation: 7,
      token: "t",
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 30,
    };
    coordinator.fake.inTurn("PUT", /agents/, noAnswer, noAnswer, () => json(registered));
    const starting = agent.start();
    await pass(5);
    await starting;
    expect(agent.incarnation).toBe(7);
    expect(heard.disconnected).toHaveLength(2);
  });

  it("start() rejects when the registration is refused", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /agents/, () =>
      problem(409, "agent_live", { deadline_at: "2030-01-01T00:00:00.000Z" }),
    );
    const { agent } = agentOf(coordinator);
    await expect(agent.start()).rejects.toMatchObject({ code: "agent_live" });
  });
});

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

describe("an incarnation that has ended", () => {
  it("the next registration lists the attempts that still run", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"));
    await pass(31);
    agent.listen("registered", () => coordinator.hold({ ...task("t1"), status: "running" }, task("t2", 2)));
    coordinator.fake.inTurn(
      "POST",
      /heartbeat$/,
      () => problem(410, "session_expired"),
      () => json({}),
    );
    await pass(20);
    expect(coordinator.registrations.map(({ body }) => body.running_tasks)).toEqual([
      [],
      [
        { task_id: "t1", attempt: 1 },
        { task_id: "t2", attempt: 1 },
      ],
    ]);
    expect(heard.registered).toEqual([{ incarnation: 1 }, { incarnation: 2 }]);
    expect(running.map(({ id, signal }) => [id, signal.aborted])).toEqual([
      ["t1", false],
      ["t2", true],
    ]);
    running[0]?.end("kept");
    await pass(1);
    expect(coordinator.fake.made("POST", /complete$/)[0]?.headers.get("Authorization")).toBe(
      "Bearer token-2",
    );
  });

  it("an agent registers more and more slowly when its incarnations keep ending", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    coordinator.fake.on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    const { agent } = agentOf(coordinator);
    await agent.start();
    await pass(60);
    expect(coordinator.registrations.length).toBeLessThan(12);
  });
});

describe("an agent without contact for its timeout", () => {
  const outage = async (options: Partial<AgentOptions>) => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent, heard } = agentOf(coordinator, options);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(5);
    coordinator.fake.on("POST", /heartbeat$/, noAnswer).on("GET", /tasks$/, noAnswer);
    await pass(40);
    return { coordinator, agent, heard, running };
  };

  it("handlers continue, and outOfTouch is emitted", async () => {
    const { heard, running } = await outage({});
    expect(running[0]?.signal.aborted).toBe(false);
    expect(heard.outOfTouch).toHaveLength(1);
    expect(heard.disconnected?.length).toBeGreaterThan(0);
  });

  it("with abortWhenOutOfTouch, handlers are aborted and the next registration does not list them", async () => {
    const { coordinator, running } = await outage({ abortWhenOutOfTouch: true });
    expect(running[0]?.signal.reason).toMatchObject({ reason: "out_of_touch" });
    running[0]?.fail(running[0].signal.reason);
    coordinator.fake
      .on("POST", /heartbeat$/, () => json({}))
      .on("GET", /tasks$/, () => json({ items: [], next_cursor: null }));
    await pass(30);
    expect(reportsOf(coordinator, "fail")).toEqual([]);
    expect(coordinator.registrations.map(({ body }) => body.running_tasks)).toEqual([[], []]);
  });
});

describe("stopping an agent", () => {
  it("stop() drains, sends heartbeats while tasks finish, and unregisters", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(0.5);
    const stopping = agent.stop({ graceSeconds: 30 });
    const before = coordinator.fake.made("POST", /heartbeat$/).length;
    await pass(5);
    expect(coordinator.fake.made("POST", /drain$/).map(({ body }) => body)).toEqual([{ mode: "finish" }]);
    expect(coordinator.fake.made("POST", /heartbeat$/).length).toBeGreaterThan(before + 3);
    expect(coordinator.fake.made("DELETE", /./)).toEqual([]);
    running[0]?.end("last");
    await pass(1);
    await stopping;
    expect(reportsOf(coordinator, "complete")).toHaveLength(1);
    expect(coordinator.fake.made("DELETE", /./).map(({ path }) => path)).toEqual([
      "/groups/default/agents/a",
    ]);
    const calls = coordinator.fake.calls.length;
    await pass(60);
    expect(coordinator.fake.calls).toHaveLength(calls);
  });

  it("stop() takes no new tasks and aborts those that run after graceSeconds", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator, { maxConcurrentTasks: 1 });
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"));
    await pass(0.5);
    const stopping = agent.stop({ graceSeconds: 2 });
    coordinator.hold({ ...task("t1"), status: "running" }, task("t2"), task("t3"));
    await pass(1);
    expect(running[0]?.signal.aborted).toBe(false);
    await pass(3);
    await stopping;
    expect(running.map(({ id, signal }) => [id, signal.aborted])).toEqual([["t1", true]]);
    expect(running[0]?.signal.reason).toMatchObject({ reason: "stopping" });
    expect(reportsOf(coordinator, "fail")).toEqual([]);
  });

  it("stop() unregisters although the drain is refused or not answered", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("POST", /drain$/, () => problem(404, "not_found")).on("DELETE", /./, noAnswer);
    const { agent } = agentOf(coordinator);
    worker(agent);
    await agent.start();
    const stopping = agent.stop();
    await pass(10);
    await stopping;
    expect(coordinator.fake.made("DELETE", /./)).toHaveLength(3);
  });

  it("stop() registers no new incarnation when a call reports the end of the old one", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    const left = Promise.withResolvers<Response>();
    coordinator.fake
      .on("DELETE", /./, () => left.promise)
      .on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(3);
    left.resolve(json(undefined));
    await stopping;
    await pass(60);
    expect(coordinator.fake.made("DELETE", /./)).toHaveLength(1);
    expect(coordinator.registrations).toHaveLength(1);
  });

  it("stop() unregisters the incarnation whose registration was under way", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    coordinator.fake.inTurn(
      "POST",
      /heartbeat$/,
      () => problem(410, "session_expired"),
      () => json({}),
    );
    await pass(1);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(2);
    await stopping;
    const left = coordinator.fake.made("DELETE", /./).map(({ headers }) => headers.get("Authorization"));
    expect(left).toEqual(["Bearer token-2"]);
  });

  it("stop() resolves although the incarnation has ended and the coordinator is unreachable", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    coordinator.fake
      .on("POST", /heartbeat$/, () => problem(410, "session_expired"))
      .on("PUT", /./, noAnswer)
      .on("DELETE", /./, noAnswer);
    await pass(2);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(60);
    const calls = coordinator.fake.calls.length;
    await stopping;
    await pass(60);
    expect(coordinator.fake.calls).toHaveLength(calls);
  });

  it("stop() resolves at once while start() has reached no coordinator", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /./, noAnswer);
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(1);
    await agent.stop();
    expect(await starting).toBeInstanceOf(TaskRevokedError);
  });

  it("stop() unregisters as soon as the first registration is answered", async () => {
    const coordinator = coordinatorWithAgents();
    const { fake } = coordinator;
    const answer = Promise.withResolvers<void>();
    const registered = {
      incarnation: 1,
      token: "token-1",
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 30,
    };
    fake.on("PUT", /agents/, async () => {
      await answer.promise;
      return json(registered);
    });
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(0);
    const stopping = agent.stop({ graceSeconds: 1 });
    await pass(4);
    expect(fake.made("DELETE", /./)).toEqual([]);
    answer.resolve();
    await pass(1);
    await stopping;
    await starting;
    const left = fake.made("DELETE", /./).map(({ path, headers }) => [path, headers.get("Authorization")]);
    expect(left).toEqual([["/groups/default/agents/a", "Bearer token-1"]]);
    const calls = fake.calls.length;
    await pass(60);
    expect(fake.calls).toHaveLength(calls);
  });

  it("stop() waits only some seconds for a registration that is not answered", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /agents/, silence);
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(1);
    const stopping = agent.stop();
    await pass(5);
    await stopping;
    expect(await starting).toBeInstanceOf(TaskRevokedError);
    expect(coordinator.fake.calls).toHaveLength(1);
  });

  it("stop() unregisters again when another incarnation was registered meanwhile", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { fake } = coordinator;
    const { agent } = agentOf(coordinator);
    await agent.start();
    const [registration, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    fake.on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    fake.on("PUT", /agents/, async () => {
      await registration.promise;
      return json({
        incarnation: 2,
        token: "token-2",
        heartbeat_interval_seconds: 1,
        heartbeat_timeout_seconds: 3,
      });
    });
    fake.inTurn(
      "DELETE",
      /agents/,
      async () => {
        await left.promise;
        return problem(410, "session_expired");
      },
      () => json(undefined),
    );
    await pass(2);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(7);
    expect(fake.made("DELETE", /./)).toHaveLength(1);
    registration.resolve();
    await pass(0);
    left.resolve();
    await pass(1);
    await stopping;
    const tokens = fake.made("DELETE", /./).map(({ headers }) => headers.get("Authorization"));
    expect(tokens).toEqual(["Bearer token-1", "Bearer token-2"]);
  });
});

describe("messages", () => {
  it("polls for messages are limited in rate when each is answered at once", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("GET", /messages$/, () => {
      if (coordinator.fake.calls.length > 1000) throw new Error("a storm");
      return json({ items: [], next_cursor: null });
    });
    const { agent } = agentOf(coordinator);
    agent.onMessage(() => {});
    await agent.start();
    await pass(1);
    expect(coordinator.fake.made("GET", /messages$/).length).toBeLessThanOrEqual(51);
  });

  const message = (id: string) => ({ id, from: "operator", message_type: "m", content: id, sent_at: "" });

  it("a message is acknowledged when its handler resolves, and handled again after an exception", async () => {
    const coordinator = coordinatorWithAgents();
    let unread = [message("1"), message("2")];
    coordinator.fake.on("GET", /messages$/, async () => {
      while (unread.length === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
      return json({ items: unread, next_cursor: null });
    });
    coordinator.fake.on("POST", /\/ack$/, ({ path }) => {
      unread = unread.filter(({ id }) => id !== path.split("/")[6]);
      return json(undefined);
    });
    const { agent, heard } = agentOf(coordinator);
    const handled: string[] = [];
    agent.onMessage(({ id }) => {
      handled.push(id);
      if (handled.length === 1) throw new Error("not yet");
    });
    await agent.start();
    await pass(1);
    expect(handled).toEqual(["1", "2"]);
    expect(unread.map(({ id }) => id)).toEqual(["1"]);
    expect(heard.error).toHaveLength(1);
    await pass(6);
    expect(handled).toEqual(["1", "2", "1"]);
    expect(unread).toEqual([]);
  });
});
