/** Reports on a task by its holder: start, progress, completion, failure; which reports count; time-outs. */
import { describe, expect, it } from "vitest";
import * as z from "zod";
import {
  apiOfThisFile,
  type CheckedCluster,
  type JsonObject,
  type TestAgent,
} from "../support/checked-cluster.ts";

const api = apiOfThisFile();

/** Reported as failed, which is the fastest failover. */
const lose = (cluster: CheckedCluster, agentId: string) =>
  cluster.post(`/agents/${agentId}/failures`, { failure_type: "reported" });

/** A cluster with one agent that holds one task, `t1`. */
async function holding(task: JsonObject = {}): Promise<{ cluster: CheckedCluster; agent: TestAgent }> {
  const cluster = api.cluster();
  const agent = await cluster.register("a1");
  await cluster.submit({ id: "t1", ...task });
  return { cluster, agent };
}

/** Agent a1 had `t1`; a2 has it now, under attempt 2. */
async function moved() {
  const { cluster, agent: old } = await holding();
  await old.reported("start", "t1");
  const holder = await cluster.register("a2");
  await lose(cluster, "a1");
  return { cluster, old, holder };
}

const FAILURE = { error: { message: "out of memory" } };

describe("a task's life", () => {
  it("goes from assigned over running to completed", async () => {
    const { cluster, agent } = await holding({ timeout_seconds: 60 });

    const started = await agent.reported("start", "t1");
    expect(started).toMatchObject({ status: "running", attempt: 1, progress: null });
    expect(Date.parse(started.deadline_at ?? "") - Date.parse(started.started_at ?? "")).toBe(60_000);

    const halfway = await agent.reported("progress", "t1", { progress: 0.5 });
    expect(halfway).toMatchObject({ status: "running", progress: 0.5, started_at: started.started_at });

    const completed = await agent.reported("complete", "t1", { result: { rows: 7 } });
    expect(completed).toMatchObject({
      status: "completed",
      assigned_to: "a1",
      attempt: 1,
      progress: 1,
      result: { rows: 7 },
      error: null,
      deadline_at: null,
    });
    expect(await cluster.task("t1")).toEqual(completed);
    expect(await cluster.agent("a1")).toMatchObject({
      task_count: 0,
      tasks_completed: 1,
      tasks_failed: 0,
      mean_task_seconds: expect.any(Number),
    });
    expect((await cluster.status()).tasks).toMatchObject({ completed: 1, running: 0, assigned: 0 });
  });

  it.each([
    { verb: "progress", body: { progress: 0.1 }, status: "running" },
    { verb: "complete", body: {}, status: "completed" },
    { verb: "fail", body: { error: { message: "no", retryable: false } }, status: "failed" },
  ] as const)("starts by itself with a $verb", async ({ verb, body, status }) => {
    const { agent } = await holding();

    expect((await agent.reported(verb, "t1", body)).status).toBe(status);
  });

  it.each<{ what: string; result: JsonObject }>([
    { what: "nothing", result: {} },
    { what: "null", result: { result: null } },
    { what: "false", result: { result: false } },
    { what: "text with all kinds of characters", result: { result: '\u0000"\\é😀\ud800' } },
  ])("keeps a result of $what", async ({ result }) => {
    const { cluster, agent } = await holding();

    await agent.reported("complete", "t1", result);

    expect((await cluster.task("t1")).result).toEqual(result.result ?? null);
  });

  it("answers every repeated report like the first one", async () => {
    const { agent } = await holding();
    const twice = async (...report: Parameters<TestAgent["reported"]>) => {
      const first = await agent.reported(...report);
      expect(await agent.reported(...report)).toEqual(first);
    };

    await twice("start", "t1");
    await agent.reported("progress", "t1", { progress: 0.3 });
    expect((await agent.reported("start", "t1")).progress).toBe(0.3);
    await twice("complete", "t1", { result: 1 });
    expect((await agent.reported("complete", "t1", { result: 2 })).result).toBe(1);
    (await agent.report("fail", "t1", FAILURE)).problem(409, "invalid_transition");
  });

  it("is counted once for the agent, however often the report is repeated", async () => {
    const { cluster, agent } = await holding();
    await cluster.submit({ id: "t2" });

    for (let n = 0; n < 3; n++) {
      await agent.reported("complete", "t1");
      await agent.reported("fail", "t2", { error: { message: "no", retryable: false } });
    }

    expect(await cluster.agent("a1")).toMatchObject({ tasks_completed: 1, tasks_failed: 1 });
    expect((await cluster.failures()).items).toHaveLength(1);
  });
});

describe("a report that is late or another agent's", () => {
  it.each([
    { verb: "start", body: {} },
    { verb: "progress", body: { progress: 0.9 } },
    { verb: "complete", body: { result: "late" } },
    { verb: "fail", body: FAILURE },
  ] as const)("is refused at $verb, with the current attempt", async ({ verb, body }) => {
    const { cluster, old } = await moved();
    const before = await cluster.task("t1");

    const problem = (await old.report(verb, "t1", body)).problem(409, "stale_attempt");

    expect(problem).toMatchObject({ status: 409, attempt: 2, assigned_to: "a2", task_status: "assigned" });
    const late_results = verb === "complete" ? 1 : 0;
    expect(await cluster.task("t1")).toEqual({ ...before, late_results });
  });

  it("is refused when its attempt does not exist yet", async () => {
    const { agent } = await holding();

    const problem = (await agent.report("complete", "t1", { attempt: 2 })).problem(409, "stale_attempt");

    expect(problem).toMatchObject({ attempt: 1, assigned_to: "a1" });
  });

  it("is refused to an agent that never had the task, and to one that names another agent", async () => {
    const { cluster } = await holding();
    const other = await cluster.register("a2");

    (await other.report("complete", "t1")).problem(409, "stale_attempt");
    (await other.report("complete", "t1", { agent_id: "a1" })).problem(403, "forbidden");
    (
      await other.request("POST", "/results", {
        results: [{ task_id: "t1", agent_id: "a1", attempt: 1, result: 1 }],
      })
    ).problem(403, "forbidden");

    expect((await cluster.task("t1")).status).toBe("assigned");
  });

  it("counts from an ended incarnation while its attempt is still the last one", async () => {
    const { cluster, agent } = await holding();
    await agent.reported("start", "t1");
    await lose(cluster, "a1");
    expect(await cluster.task("t1")).toMatchObject({ status: "pending", assigned_to: null });

    const done = await agent.reported("complete", "t1", { result: "in time" });

    expect(done).toMatchObject({ status: "completed", result: "in time", attempt: 1 });
  });

  it("is refused from an ended incarnation if it is a start or progress", async () => {
    const { cluster, agent } = await holding();
    await cluster.configure({ failover_config: { enabled: false } });
    await lose(cluster, "a1");

    (await agent.report("start", "t1")).problem(410, "session_expired");
    (await agent.report("progress", "t1", { progress: 0.5 })).problem(410, "session_expired");

    expect((await cluster.task("t1")).status).toBe("assigned");
  });
});

describe("a failed task", () => {
  it("waits a second, then goes to another agent", async () => {
    const { cluster, agent } = await holding();
    await cluster.register("a2");

    const failed = await agent.reported("fail", "t1", FAILURE);

    expect(failed).toMatchObject({
      status: "pending",
      assigned_to: null,
      reassignment_count: 1,
      previous_agents: ["a1"],
      error: { message: "out of memory", retryable: true },
    });
    expect(failed).toMatchObject({
      pending_code: "retry_backoff",
      pending_until: expect.stringMatching(/Z$/),
    });
    expect(failed.pending_reason).toBe(`failed: out of memory; tried again at ${failed.pending_until}`);
    const again = await cluster.taskOnce("t1", ({ status }) => status !== "pending", "the next try");
    expect(again).toMatchObject({ status: "assigned", assigned_to: "a2", attempt: 2 });
    const { items } = await cluster.decisions("t1");
    const [first, second] = items;
    expect(second).toMatchObject({
      reason: "task_failed",
      from_agent: "a1",
      selected: "a2",
      excluded_counts: { previous_agent: 1 },
    });
    const [failure] = (await cluster.failures()).items;
    expect(failure).toMatchObject({ failure_type: "task_failure", severity: "warning", agent_id: "a1" });
    const waitedMs = Date.parse(second?.at ?? "") - Date.parse(failure?.at ?? "");
    expect(waitedMs).toBeGreaterThanOrEqual(1000);
    expect(first?.selected).toBe("a1");
  });

  it("goes back to the same agent when there is no other, and the decision says so", async () => {
    const { cluster, agent } = await holding();
    await agent.reported("fail", "t1", FAILURE);

    const again = await cluster.taskOnce("t1", ({ status }) => status === "assigned", "the next try");

    expect(again).toMatchObject({ assigned_to: "a1", attempt: 2 });
    const { items } = await cluster.decisions("t1");
    expect(items.at(-1)?.explanation).toContain("tried before");
  });

  it("answers a repeated report with the current task, and counts it once", async () => {
    const { cluster, agent } = await holding();
    await agent.reported("fail", "t1", FAILURE);
    await cluster.taskOnce("t1", ({ status }) => status === "assigned", "the next try");

    const repeated = await agent.reported("fail", "t1", FAILURE);

    expect(repeated).toMatchObject({ status: "assigned", attempt: 2, reassignment_count: 1 });
    expect((await cluster.failures()).items).toHaveLength(1);
  });

  it("waits twice as long each time", async () => {
    const { cluster, agent } = await holding();
    await agent.reported("fail", "t1", FAILURE);
    await cluster.taskOnce("t1", ({ status }) => status === "assigned", "the second try");
    await agent.reported("fail", "t1", { ...FAILURE, attempt: 2 });
    await cluster.taskOnce("t1", ({ status }) => status === "assigned", "the third try");

    const { items } = await cluster.decisions("t1");
    const failures = (await cluster.failures()).items.toReversed();
    const waits = failures.map(({ at }, n) => Date.parse(items[n + 1]?.at ?? "") - Date.parse(at));

    expect(waits[0]).toBeGreaterThanOrEqual(1000);
    expect(waits[1]).toBeGreaterThanOrEqual(2000);
  });

  it("is failed for good when the failure is not retryable", async () => {
    const { cluster, agent } = await holding();
    await cluster.register("a2");

    const failed = await agent.reported("fail", "t1", { error: { message: "bad input", retryable: false } });

    expect(failed).toMatchObject({
      status: "failed",
      assigned_to: "a1",
      attempt: 1,
      error: { message: "bad input", retryable: false },
      finished_at: expect.any(String),
    });
    expect((await cluster.status()).tasks).toMatchObject({ failed: 1, pending: 0 });
    (await agent.report("complete", "t1")).problem(409, "invalid_transition");
  });

  it("frees its slot for the next task", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "t1" });
    await cluster.submit({ id: "t2" });

    await agent.reported("fail", "t1", FAILURE);

    expect((await cluster.task("t2")).assigned_to).toBe("a1");
  });

  it("may have an error text with any characters", async () => {
    const { cluster, agent } = await holding();

    const message = "tab\t nul\u0000 half\ud800 <b>&";
    const task = await agent.reported("fail", "t1", { error: { message } });

    expect(task.status).toBe("pending");
    expect((await cluster.task("t1")).error?.message).toBe(message);
    expect((await cluster.failures()).items).toHaveLength(1);
  });
});

describe("a task that moved too often", () => {
  it("is failed, recorded, and can be retried by an operator", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { max_reassignment_attempts: 2 } });
    for (const id of ["a1", "a2", "a3", "a4"]) await cluster.register(id);
    await cluster.submit({ id: "t1" });

    for (let move = 0; move < 3; move++) {
      const { assigned_to } = await cluster.task("t1");
      await lose(cluster, assigned_to ?? "");
    }

    const task = await cluster.task("t1");
    expect(task).toMatchObject({ status: "failed", attempt: 3, reassignment_count: 2 });
    expect(task.error?.message).toContain("2 reassignments");
    const [failure] = (await cluster.failures({ failure_type: "max_reassignments_exceeded" })).items;
    expect(failure).toMatchObject({ severity: "error", details: { task_id: "t1" } });
    const lost = (await cluster.failures({ failure_type: "reported" })).items;
    expect(lost.map(({ tasks_reassigned, tasks_failed }) => [tasks_reassigned, tasks_failed])).toEqual([
      [0, 1],
      [1, 0],
      [1, 0],
    ]);

    await cluster.post("/tasks/t1/retry");

    expect(await cluster.task("t1")).toMatchObject({ status: "assigned", attempt: 4, reassignment_count: 0 });
  });

  it("loses a step of priority at each move if that is configured", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { preserve_task_priority: false } });
    await cluster.register("a1");
    await cluster.submit({ id: "t1", priority: 8 });
    await cluster.register("a2");

    await lose(cluster, "a1");

    expect(await cluster.task("t1")).toMatchObject({ assigned_to: "a2", priority: 7 });
  });
});

describe("a task with a time-out", () => {
  it.each([
    {
      what: "is not started in time",
      task: { start_timeout_seconds: 0.3 },
      begin: async () => {},
      words: "start in time",
    },
    {
      what: "is not finished in time",
      task: { timeout_seconds: 0.3 },
      begin: async (agent: TestAgent) => {
        await agent.reported("start", "t1");
      },
      words: "finish in time",
    },
    {
      what: "shows no progress in time",
      task: { progress_timeout_seconds: 0.3, timeout_seconds: 60 },
      begin: async (agent: TestAgent) => {
        await agent.reported("progress", "t1", { progress: 0.1 });
      },
      words: "no progress in time",
    },
  ])("is taken from an active agent that $what", async ({ task, begin, words }) => {
    const { cluster, agent } = await holding(task);
    await cluster.register("a2", { labels: { spare: "yes" } });
    await begin(agent);

    const taken = await cluster.taskOnce("t1", ({ attempt }) => attempt === 2, "the time-out");

    expect(taken).toMatchObject({ assigned_to: "a2", reassignment_count: 1, previous_agents: ["a1"] });
    const { items } = await cluster.decisions("t1");
    expect(items[1]).toMatchObject({ reason: "task_timed_out", from_agent: "a1", selected: "a2" });
    const timeouts = (await cluster.failures({ failure_type: "task_timeout", agent_id: "a1" })).items;
    expect(timeouts).toHaveLength(1);
    expect(timeouts[0]).toMatchObject({ severity: "warning", details: { task_id: "t1", attempt: 1 } });
    expect(timeouts[0]?.message).toContain(words);
    expect(await cluster.agent("a1")).toMatchObject({ status: "active", failure_count: 0, tasks_failed: 1 });
    (await agent.report("complete", "t1")).problem(409, "stale_attempt");
  });

  it("keeps running while progress comes in time", async () => {
    const { cluster, agent } = await holding({ progress_timeout_seconds: 2 });
    const deadlines = new Set<string | null>();
    for (const progress of [0.1, 0.2, 0.3]) {
      deadlines.add((await agent.reported("progress", "t1", { progress })).deadline_at);
      await agent.poll("?wait_seconds=0.05");
    }

    expect(deadlines.size).toBe(3);
    expect(await cluster.task("t1")).toMatchObject({ status: "running", attempt: 1 });
  });

  it("has no deadline while it is pending", async () => {
    const { task } = await api.cluster().submit({ start_timeout_seconds: 0.1, timeout_seconds: 0.1 });

    expect(task).toMatchObject({ status: "pending", deadline_at: null });
  });
});

describe("results in a batch", () => {
  const ResultsAnswer = z.object({
    results: z.array(z.object({ task_id: z.string(), ok: z.boolean(), code: z.string().optional() })),
  });

  it("are processed one by one, in order, and can be repeated", async () => {
    const { cluster, agent } = await holding();
    for (const id of ["t2", "t3", "t4"]) await cluster.submit({ id });
    await cluster.post("/tasks/t4/cancel");
    const holder = { agent_id: "a1", attempt: 1 };
    const results = [
      { ...holder, task_id: "t1", result: { n: 1 } },
      { ...holder, task_id: "nowhere", result: 1 },
      { ...holder, task_id: "t2", error: { message: "broken", retryable: false } },
      { ...holder, task_id: "t3", attempt: 9, result: 1 },
      { ...holder, task_id: "t4", result: 1 },
      { ...holder, task_id: "t3" },
    ];

    for (let n = 0; n < 2; n++) {
      const answer = (await agent.request("POST", "/results", { results })).as(200, ResultsAnswer);
      expect(answer.results).toEqual([
        { task_id: "t1", ok: true },
        { task_id: "nowhere", ok: false, code: "not_found" },
        { task_id: "t2", ok: true },
        { task_id: "t3", ok: false, code: "stale_attempt" },
        { task_id: "t4", ok: false, code: "invalid_transition" },
        { task_id: "t3", ok: true },
      ]);
    }

    expect(await cluster.task("t1")).toMatchObject({ status: "completed", result: { n: 1 } });
    expect(await cluster.task("t2")).toMatchObject({ status: "failed", error: { message: "broken" } });
    expect(await cluster.task("t3")).toMatchObject({ status: "completed", result: null });
    expect((await cluster.agent("a1")).tasks_completed).toBe(2);
  });

  it("are refused completely when one has both a result and an error", async () => {
    const { cluster, agent } = await holding();
    const holder = { agent_id: "a1", attempt: 1 };

    const answer = await agent.request("POST", "/results", {
      results: [
        { ...holder, task_id: "t1", result: 1 },
        { ...holder, task_id: "t1", result: 1, error: { message: "no" } },
      ],
    });

    answer.problem(400, "invalid_request");
    expect((await cluster.task("t1")).status).toBe("assigned");
  });
});
