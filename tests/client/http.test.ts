/** The calls of the client over HTTP: retries, time limits, errors, lists and the event stream. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as client from "../../client/src/index.ts";
import { ErrorCode } from "../../src/contract/problem.ts";
import {
  type Answering,
  FakeCoordinator,
  json,
  noAnswer,
  pass,
  problem,
  silence,
  startTime,
  stopTime,
} from "./fakes.ts";

const { ConnectionError, DistributedCoordinator, FailoverError } = client;

beforeEach(stopTime);
afterEach(startTime);

const CLASSES: Record<string, unknown> = { ...client };
const ANY = /./;
const unavailable: Answering = () => problem(503, "unavailable");

function coordinatorThat(method: string, ...answers: Answering[]) {
  const fake = new FakeCoordinator().inTurn(method, ANY, ...answers);
  return { fake, coordinator: new DistributedCoordinator(fake.options) };
}

/** The outcome of a promise after a minute. */
async function outcome<Value>(promise: Promise<Value>): Promise<Value | Error> {
  const settled = promise.catch((error: Error) => error);
  await pass(60);
  return settled;
}

describe("a repeatable call", () => {
  it("a call is retried without an answer and after 503", async () => {
    const { fake, coordinator } = coordinatorThat("GET", noAnswer, unavailable, () =>
      json({ task: { id: "t" } }),
    );
    expect(await outcome(coordinator.tasks.get("t"))).toEqual({ id: "t" });
    expect(fake.calls).toHaveLength(3);
  });

  it("a call is retried five times at most", async () => {
    const { fake, coordinator } = coordinatorThat("GET", noAnswer);
    const error = await outcome(coordinator.getClusterStatus());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toContain("ECONNREFUSED");
    expect(fake.calls).toHaveLength(6);
  });

  it("a retry waits at least as long as Retry-After says", async () => {
    const { fake, coordinator } = coordinatorThat("GET", () =>
      problem(503, "unavailable", {}, { "Retry-After": "3" }),
    );
    coordinator.getClusterStatus().catch(() => {});
    await pass(2.9);
    expect(fake.calls).toHaveLength(1);
    await pass(0.3);
    expect(fake.calls).toHaveLength(2);
  });

  it("a call is not retried when Retry-After is half an hour", async () => {
    const { fake, coordinator } = coordinatorThat("GET", () =>
      problem(429, "rate_limited", {}, { "Retry-After": "1800" }),
    );
    expect(await outcome(coordinator.getClusterStatus())).toMatchObject({ retryAfterSeconds: 1800 });
    expect(fake.calls).toHaveLength(1);
  });

  it("a refused call is not retried", async () => {
    const { fake, coordinator } = coordinatorThat("GET", () => problem(503, "not_configured"));
    expect(await outcome(coordinator.getClusterStatus())).toBeInstanceOf(client.NotConfiguredError);
    expect(fake.calls).toHaveLength(1);
  });

  it("a submission is retried with the same random id", async () => {
    const { fake, coordinator } = coordinatorThat("POST", noAnswer, unavailable, () =>
      json({ task: { assigned_to: "a" } }),
    );
    expect(await outcome(coordinator.assignTask({ type: "work" }))).toBe("a");
    const ids = new Set(fake.calls.map(({ body }) => (body as { id: string }).id));
    expect(ids.size).toBe(1);
    expect([...ids][0]).toMatch(/^[A-Za-z0-9-]{36}$/);
  });

  it("a change of the configuration is retried, unless it has ifMatch", async () => {
    const { fake, coordinator } = coordinatorThat("PATCH", noAnswer, () => json({}));
    await outcome(coordinator.config.patch({}));
    expect(fake.calls).toHaveLength(2);
    const matching = coordinatorThat("PATCH", noAnswer, () => json({}));
    expect(await outcome(matching.coordinator.config.patch({}, { ifMatch: '"1"' }))).toBeInstanceOf(
      ConnectionError,
    );
    expect(matching.fake.calls).toHaveLength(1);
  });
});

describe("a call that is not repeatable", () => {
  const calls: Record<string, (it: client.DistributedCoordinator) => Promise<unknown>> = {
    "a message": (it) => it.agents.sendMessage("a", { message_type: "m" }),
    "a retry of a task": (it) => it.tasks.retry("t"),
    "a cancellation": (it) => it.tasks.cancel("t"),
    "a report of a failure": (it) => it.agents.reportFailure("a", { failure_type: "f" }),
  };

  it.each(Object.entries(calls))("%s is not retried without an answer", async (_, call) => {
    const { fake, coordinator } = coordinatorThat("POST", noAnswer);
    expect(await outcome(call(coordinator))).toBeInstanceOf(ConnectionError);
    expect(fake.calls).toHaveLength(1);
  });

  it("a call is retried after 429 only, because the rate limit refuses it before it has an effect", async () => {
    const { fake, coordinator } = coordinatorThat("POST", () => problem(429, "rate_limited"), unavailable);
    expect(await outcome(coordinator.tasks.retry("t"))).toBeInstanceOf(client.UnavailableError);
    expect(fake.calls).toHaveLength(2);
  });

  it("breaking a lock is not retried, because another agent may hold it by then", async () => {
    const { fake, coordinator } = coordinatorThat("DELETE", noAnswer);
    expect(await outcome(coordinator.locks.break("db/orders"))).toBeInstanceOf(ConnectionError);
    expect(fake.calls.map(({ path }) => path)).toEqual(["/groups/default/locks/db%2Forders"]);
  });
});

describe("a time limit", () => {
  it("a request that is not answered ends after timeoutSeconds", async () => {
    const { coordinator } = coordinatorThat("POST", silence);
    const error = await outcome(coordinator.tasks.retry("t", { timeoutSeconds: 2 }));
    expect(error).toBeInstanceOf(ConnectionError);
    expect(String(error)).toContain("2 s");
  });

  it("the time limit of a long poll is longer than its wait", async () => {
    const { fake, coordinator } = coordinatorThat("GET", silence);
    coordinator.tasks.wait("t").catch(() => {});
    await pass(39);
    expect(fake.calls).toHaveLength(1);
    expect(fake.calls[0]?.query.get("wait_seconds")).toBe("30");
    await pass(3);
    expect(fake.calls).toHaveLength(2);
  });

  it("a call rejects with the reason of the caller's aborted signal", async () => {
    const { fake, coordinator } = coordinatorThat("GET", silence);
    const caller = new AbortController();
    const call = outcome(coordinator.getClusterStatus({ signal: caller.signal }));
    caller.abort(new Error("enough"));
    expect(await call).toEqual(new Error("enough"));
    expect(fake.calls).toHaveLength(1);
  });
});

describe("waiting for the end of a task", () => {
  const unfinished: Answering = () => json({ task: { id: "t", status: "running" } });
  const finished: Answering = () => json({ task: { id: "t", status: "completed" } });

  it("lasts through an outage, and asks again within a second", async () => {
    const fake = new FakeCoordinator().on("GET", ANY, noAnswer);
    const { tasks } = new DistributedCoordinator(fake.options);
    const task = tasks.wait("t", { waitSeconds: 300 });
    await pass(120);
    fake.on("GET", ANY, unavailable);
    await pass(120);
    expect(fake.calls.length).toBeLessThan(2 * 240);
    fake.on("GET", ANY, finished);
    const calls = fake.calls.length;
    await pass(1);
    expect(await task).toMatchObject({ status: "completed" });
    expect(fake.calls.length).toBe(calls + 1);
  });

  it("ends at its time, with the error of the last call if the coordinator is down then", async () => {
    const { fake, coordinator } = coordinatorThat("GET", noAnswer);
    const ended = coordinator.tasks.wait("t", { waitSeconds: 20 }).catch(() => performance.now());
    const beganAtMs = performance.now();
    await pass(60);
    expect((await ended) as number).toBeGreaterThanOrEqual(beganAtMs + 20_000);
    expect((await ended) as number).toBeLessThan(beganAtMs + 21_000);
    expect(fake.calls.length).toBeGreaterThan(20);
  });

  it("waits as long as Retry-After says", async () => {
    const { fake, coordinator } = coordinatorThat(
      "GET",
      () => problem(429, "rate_limited", {}, { "Retry-After": "7" }),
      finished,
    );
    const task = coordinator.tasks.wait("t");
    await pass(6.9);
    expect(fake.calls).toHaveLength(1);
    await pass(1);
    expect(await task).toMatchObject({ status: "completed" });
  });

  it("rejects at once for a task that is unknown, and when its signal is aborted", async () => {
    const unknown = coordinatorThat("GET", () => problem(404, "not_found")).coordinator;
    await expect(unknown.tasks.wait("t")).rejects.toBeInstanceOf(client.NotFoundError);
    const { coordinator } = coordinatorThat("GET", noAnswer);
    const caller = new AbortController();
    const wait = coordinator.tasks.wait("t", { signal: caller.signal });
    const rejected = expect(wait).rejects.toThrow("enough");
    await pass(3);
    caller.abort(new Error("enough"));
    await rejected;
  });

  it("returns the unfinished task at its time", async () => {
    const { coordinator } = coordinatorThat("GET", async (called) => {
      await new Promise((resolve) => setTimeout(resolve, Number(called.query.get("wait_seconds")) * 1000));
      return unfinished(called);
    });
    expect(await outcome(coordinator.tasks.wait("t", { waitSeconds: 45 }))).toMatchObject({
      status: "running",
    });
  });
});

describe("an error", () => {
  it.each(ErrorCode.options)("an error with the code %s has its own class", async (code) => {
    const { coordinator } = coordinatorThat("POST", () =>
      problem(409, code, { holder: "a2", errors: [{ path: "x", message: "is odd" }] }),
    );
    const name = `${code.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())}Error`;
    const error = await outcome(coordinator.tasks.cancel("t"));
    expect(error?.constructor).toBe(CLASSES[name]);
    expect(error).toBeInstanceOf(FailoverError);
    expect(error).toMatchObject({
      name,
      code,
      status: 409,
      detail: `it is ${code}`,
      requestId: "r1",
      evidence: { holder: "a2" },
      errors: [{ path: "x", message: "is odd" }],
    });
    expect(String(error)).toContain("x is odd");
  });

  it("the page of a proxy becomes an error with the code unknown", async () => {
    const { coordinator } = coordinatorThat(
      "POST",
      () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
    );
    const error = await outcome(coordinator.tasks.cancel("t"));
    expect(error).toBeInstanceOf(FailoverError);
    expect(error).toMatchObject({ code: "unknown", status: 502, requestId: null });
  });

  it("a code that the client does not know becomes a FailoverError with that code", async () => {
    const { coordinator } = coordinatorThat("POST", () => problem(418, "teapot"));
    expect(await outcome(coordinator.tasks.cancel("t"))).toMatchObject({ code: "teapot", status: 418 });
  });
});

describe("a list", () => {
  const pages: Answering = ({ query }) =>
    query.get("cursor") === "2"
      ? json({ items: [3], next_cursor: null })
      : json({ items: [1, 2], next_cursor: "2" });

  it("an awaited list is its first page", async () => {
    const { coordinator, fake } = coordinatorThat("GET", pages);
    expect(await coordinator.tasks.list({ status: "failed", limit: 2 })).toEqual({
      items: [1, 2],
      next_cursor: "2",
    });
    expect(fake.calls.map(({ query }) => String(query))).toEqual(["status=failed&limit=2"]);
  });

  it("a loop over a list gets every item of every page", async () => {
    const { coordinator, fake } = coordinatorThat("GET", pages);
    const items: unknown[] = [];
    for await (const item of coordinator.failures.list()) items.push(item);
    expect(items).toEqual([1, 2, 3]);
    expect(fake.calls).toHaveLength(2);
  });

  it("getFailureHistory() ends at its limit", async () => {
    const { coordinator, fake } = coordinatorThat("GET", pages);
    expect(await coordinator.getFailureHistory({ limit: 1 })).toEqual([1]);
    expect(await coordinator.getFailureHistory({ limit: 0 })).toEqual([]);
    expect(fake.calls).toHaveLength(1);
  });
});

describe("submitting many tasks", () => {
  it("submitAll() sends 1,000 tasks per call and returns a result for each", async () => {
    const { coordinator, fake } = coordinatorThat("POST", ({ body }) =>
      json({
        results: (body as { tasks: { type: string }[] }).tasks.map(({ type }) =>
          type === "odd"
            ? { error: { status: 409, code: "task_exists", detail: "" } }
            : { task: { type }, decision: null },
        ),
      }),
    );
    const tasks = Array.from({ length: 1001 }, (_, at) => ({ type: at === 1000 ? "odd" : "work" }));
    const results = await coordinator.tasks.submitAll(tasks);
    expect(fake.calls).toHaveLength(2);
    expect(results).toHaveLength(1001);
    expect(results[0]).toEqual({ task: { type: "work" }, decision: null });
    expect(results[1000]?.error).toBeInstanceOf(client.TaskExistsError);
  });
});

describe("the event stream", () => {
  const stream = (...events: number[]): Response =>
    new Response(
      [
        ": following\n\n",
        ...events.map((id) => `id: ${id}\nevent: task.assigned\ndata: {"id":${id}}\n\n`),
      ].join(""),
    );

  it("a broken stream is opened again after the last event received", async () => {
    const { coordinator, fake } = coordinatorThat(
      "GET",
      () => stream(4, 5),
      noAnswer,
      () => stream(6),
    );
    const heard: number[] = [];
    const listening = (async () => {
      for await (const { id } of coordinator.events({ after: 3 })) {
        heard.push(id);
        if (id === 6) return;
      }
    })();
    await pass(10);
    await listening;
    expect(heard).toEqual([4, 5, 6]);
    expect(fake.calls.map(({ headers }) => headers.get("Last-Event-ID"))).toEqual(["3", "5", "5"]);
  });

  it("a silent stream is opened again", async () => {
    const { coordinator, fake } = coordinatorThat("GET", silence, () => stream(1));
    const first = coordinator.events().next();
    await pass(39);
    expect(fake.calls).toHaveLength(1);
    await pass(3);
    expect((await first).value).toEqual({ id: 1 });
  });

  it("an aborted signal ends the stream without an error", async () => {
    const { coordinator } = coordinatorThat("GET", silence);
    const listener = new AbortController();
    const first = coordinator.events({ signal: listener.signal }).next();
    await pass(1);
    listener.abort();
    await pass(1);
    expect(await first).toEqual({ done: true, value: undefined });
  });

  it("a refused stream rejects", async () => {
    const { coordinator } = coordinatorThat("GET", () => problem(403, "forbidden"));
    await expect(coordinator.events().next()).rejects.toBeInstanceOf(client.ForbiddenError);
  });
});

describe("the short forms of calls", () => {
  it("registerAgent() takes its arguments by position or by name", async () => {
    const { coordinator, fake } = coordinatorThat("PUT", () => json({}));
    await coordinator.registerAgent("agent1", "worker", ["task_type1"], "http://agent1");
    await coordinator.registerAgent({ id: "agent2", type: "worker", capabilities: [], group: "eu" });
    expect(fake.calls.map(({ path, body }) => [path, body])).toEqual([
      [
        "/groups/default/agents/agent1",
        { type: "worker", capabilities: ["task_type1"], endpoint: "http://agent1" },
      ],
      ["/groups/eu/agents/agent2", { type: "worker", capabilities: [] }],
    ]);
  });

  it("initFailoverStrategy() takes a strategy or configuration keys", async () => {
    const { coordinator, fake } = coordinatorThat("PATCH", () => json({}));
    await coordinator.initFailoverStrategy("backup_agent");
    await coordinator.initFailoverStrategy("basic");
    await coordinator.initFailoverStrategy({ reliability_threshold: 0.5 });
    expect(fake.calls.map(({ body }) => body)).toEqual([
      { failover_config: { use_failover_strategy: true, failover_strategy_type: "backup_agent" } },
      { failover_config: { use_failover_strategy: false } },
      { failover_config: { use_failover_strategy: true, reliability_threshold: 0.5 } },
    ]);
  });
});
