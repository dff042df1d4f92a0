/** Tasks as their producers see them: submission, placement and its reasons, waiting, lists, cancelling, retrying. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Decision } from "../../src/contract/placement/decision.ts";
import { ProblemBody } from "../../src/contract/problem.ts";
import { Placement, Task, TaskAnswer } from "../../src/contract/task.ts";
import { apiOfThisFile, type CheckedCluster } from "../support/checked-cluster.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

const ids = (items: readonly { id: string }[]) => items.map(({ id }) => id);

const BatchAnswer = z.object({
  results: z.array(
    z.object({
      task: Task.optional(),
      decision: Decision.nullable().optional(),
      error: ProblemBody.omit({ request_id: true }).optional(),
    }),
  ),
});

/** A task that its only agent failed for good. */
async function failedTask(cluster: CheckedCluster): Promise<void> {
  const agent = await cluster.register("a1");
  await cluster.submit({ id: "t1" });
  await agent.reported("fail", "t1", { error: { message: "no disk", retryable: false } });
}

describe("submitting", () => {
  it("assigns a task to a capable agent, and explains the decision", async () => {
    const cluster = api.cluster();
    await cluster.register("a1");
    await cluster.register("a2", { capabilities: ["other"] });

    const { task, decision } = await cluster.submit({
      id: "t1",
      priority: 9,
      data: { input: [1, null, "é", { deep: true }] },
      timeout_seconds: 60,
      progress_timeout_seconds: 20.5,
      start_timeout_seconds: 10,
      late_result_policy: "reject",
      required_labels: {},
      backups: ["a9", "a8"],
    });

    expect(task).toMatchObject({
      id: "t1",
      type: "work",
      priority: 9,
      data: { input: [1, null, "é", { deep: true }] },
      status: "assigned",
      assigned_to: "a1",
      attempt: 1,
      reassignment_count: 0,
      previous_agents: [],
      backups: ["a9", "a8"],
      group: null,
      timeout_seconds: 60,
      progress_timeout_seconds: 20.5,
      start_timeout_seconds: 10,
      late_result_policy: "reject",
      progress: null,
      result: null,
      error: null,
      late_results: 0,
      pending_reason: null,
      started_at: null,
      finished_at: null,
    });
    expect(Date.parse(task.deadline_at ?? "") - Date.parse(task.assigned_at ?? "")).toBe(10_000);
    expect(decision).toMatchObject({
      task_id: "t1",
      attempt: 1,
      reason: "submitted",
      priority_level: "high",
      from_agent: null,
      selected: "a1",
      candidate_count: 1,
      excluded: [{ agent_id: "a2", reason: "missing_capability", detail: expect.any(String) }],
      excluded_counts: { missing_capability: 1 },
    });
    expect(decision?.explanation).toMatch(/^a1 takes t1 .*\.$/);
  });

  it("creates a unique id where none is given", async () => {
    const cluster = api.cluster();

    const first = (await cluster.post("/tasks", { type: "work" })).as(201, Placement);
    const second = (await cluster.post("/tasks", { type: "work" })).as(201, Placement);

    expect(first.task.id).not.toBe(second.task.id);
    expect(await cluster.task(first.task.id)).toEqual(first.task);
  });

  it("takes omitted fields from the configuration and the contract", async () => {
    const cluster = api.cluster();
    await cluster.configure({ task_config: { default_timeout_seconds: 77, late_result_policy: "reject" } });

    const { task } = await cluster.submit();

    expect(task).toMatchObject({
      priority: 5,
      data: null,
      timeout_seconds: 77,
      progress_timeout_seconds: null,
      start_timeout_seconds: null,
      late_result_policy: "reject",
      required_labels: {},
      backups: [],
    });
  });

  it("keeps a task pending that no agent can take now, with the reason", async () => {
    const cluster = api.cluster();
    await cluster.register("a1", { max_concurrent_tasks: 1, labels: { zone: "eu" } });
    await cluster.register("a2", { group: "south", labels: { zone: "us" } });
    await cluster.submit({ group: "default" });

    const { task, decision } = await cluster.submit({
      id: "t2",
      required_labels: { zone: "eu" },
    });

    expect(task).toMatchObject({ status: "pending", assigned_to: null, attempt: 0, assigned_at: null });
    expect(task).toMatchObject({ pending_code: "at_capacity", pending_until: null });
    expect(task.pending_reason).toMatch(/^first of its type in the queue; no free slot: .*capacity.*label/);
    expect(decision).toMatchObject({
      selected: null,
      candidates: [],
      candidate_count: 0,
      excluded_counts: { at_capacity: 1, missing_label: 1 },
    });
  });

  it("answers a repeated submission with the current task, and refuses other content under its id", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    const task = { id: "t1", type: "work", data: { b: 1, a: [2] } };
    const first = (await cluster.post("/tasks", task)).as(201, Placement);
    await agent.reported("complete", "t1", { result: 42 });

    const again = (await cluster.post("/tasks", { data: { a: [2], b: 1 }, type: "work", id: "t1" })).as(
      200,
      Placement,
    );
    const other = await cluster.post("/tasks", { ...task, data: { b: 2, a: [2] } });

    expect(again.task).toMatchObject({ status: "completed", result: 42 });
    expect(again.decision).toEqual(first.decision);
    other.problem(409, "task_exists");
    expect((await cluster.tasks()).items).toHaveLength(1);
  });

  it("keeps an id for its retention only", async () => {
    const cluster = api.cluster();
    await cluster.configure({ task_config: { retention_seconds: 1 } });
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await agent.reported("complete", "t1");

    await until(async () => (await cluster.get("/tasks/t1")).status === 404, "the task to be forgotten");

    expect((await cluster.status()).tasks.completed).toBe(0);
    expect((await cluster.submit({ id: "t1", data: "other" })).task.attempt).toBe(1);
  });

  it("respects the task's group and labels", async () => {
    const cluster = api.cluster();
    await cluster.register("a1", { group: "north", labels: { zone: "eu" } });
    await cluster.register("a2", { group: "south", labels: { zone: "eu", gpu: "yes" } });

    expect((await cluster.submit({ group: "north" })).task.assigned_to).toBe("a1");
    expect((await cluster.submit({ group: "south" })).task.assigned_to).toBe("a2");
    expect((await cluster.submit({ required_labels: { gpu: "yes" } })).task.assigned_to).toBe("a2");
    expect((await cluster.submit({ group: "north", required_labels: { gpu: "yes" } })).task.status).toBe(
      "pending",
    );
  });

  it("spreads equal work over equal agents", async () => {
    const cluster = api.cluster();
    for (const id of ["a1", "a2", "a3", "a4"]) await cluster.register(id);

    await cluster.post("/tasks/batch", { tasks: Array.from({ length: 20 }, () => ({ type: "work" })) });

    const { items } = await cluster.agents();
    expect(items.map(({ task_count }) => task_count)).toEqual([5, 5, 5, 5]);
  });
});

describe("a batch of tasks", () => {
  it("answers each in order, and accepts the valid ones beside an invalid one", async () => {
    const cluster = api.cluster();
    await cluster.register("a1");
    await cluster.submit({ id: "known" });

    const { results } = (
      await cluster.post("/tasks/batch", {
        tasks: [
          { id: "b1", type: "work" },
          { id: "b2", type: "work", prioritty: "planted-value" },
          { id: "known", type: "other" },
          "planted-value",
          { id: "known", type: "work" },
          { id: "b3", type: "nobody-can" },
          { id: "b1", type: "work" },
        ],
      })
    ).as(200, BatchAnswer);

    expect(results.map(({ task, error }) => error?.code ?? `${task?.id} ${task?.status}`)).toEqual([
      "b1 assigned",
      "invalid_request",
      "task_exists",
      "invalid_request",
      "known assigned",
      "b3 pending",
      "b1 assigned",
    ]);
    expect(results[0]?.decision?.selected).toBe("a1");
    expect(results[1]?.error).toMatchObject({
      status: 400,
      errors: [{ path: "prioritty", message: expect.stringContaining('"priority"') }],
    });
    expect(results[2]?.error?.status).toBe(409);
    expect(JSON.stringify(results)).not.toContain("planted-value");
    expect(ids((await cluster.tasks()).items)).toEqual(["b3", "b1", "known"]);
  });

  it("may hold a thousand tasks", async () => {
    const cluster = api.cluster();
    for (const id of ["a1", "a2"]) await cluster.register(id, { max_concurrent_tasks: 600 });

    const tasks = Array.from({ length: 1000 }, (_, n) => ({ id: `b${n}`, type: "work", data: { n } }));
    const { results } = (await cluster.post("/tasks/batch", { tasks })).as(200, BatchAnswer);

    expect(results.map(({ task }) => task?.id)).toEqual(tasks.map(({ id }) => id));
    expect((await cluster.status()).tasks.assigned).toBe(1000);
  });
});

describe("waiting for a task", () => {
  it.each([
    { end: "completed", verb: "complete", body: { result: "done" } },
    { end: "failed", verb: "fail", body: { error: { message: "no", retryable: false } } },
  ] as const)("ends when it is $end", async ({ end, verb, body }) => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });

    const startedMs = performance.now();
    const waiting = [1, 2].map(() => cluster.task("t1", { wait_seconds: 30 }));
    await agent.reported("start", "t1");
    await agent.reported(verb, "t1", body);

    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([end, end]);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("ends when the task is cancelled", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t1" });

    const waiting = cluster.task("t1", { wait_seconds: 30 });
    await cluster.post("/tasks/t1/cancel");

    expect((await waiting).status).toBe("cancelled");
  });

  it("ends with the current task when the time is over", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t1" });

    const startedMs = performance.now();
    const task = await cluster.task("t1", { wait_seconds: 0.3 });

    expect(task.status).toBe("pending");
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(290);
  });
});

describe("a pending task", () => {
  it("is assigned when a capable agent registers", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t1" });
    await cluster.register("a0", { capabilities: ["other"] });
    expect((await cluster.task("t1")).status).toBe("pending");

    await cluster.register("a1");

    expect(await cluster.task("t1")).toMatchObject({ status: "assigned", assigned_to: "a1", attempt: 1 });
    const { items } = await cluster.decisions("t1");
    expect(items.map(({ reason, selected }) => [reason, selected])).toEqual([
      ["submitted", null],
      ["capacity_freed", "a1"],
    ]);
  });

  it("is assigned when a slot becomes free, the most urgent first and then the oldest", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "first" });
    await cluster.submit({ id: "low", priority: 1 });
    await cluster.submit({ id: "older" });
    await cluster.submit({ id: "younger" });
    await cluster.submit({ id: "high", priority: 9 });

    const order: string[] = [];
    for (let held = await agent.poll(); held[0] !== undefined; held = await agent.poll()) {
      order.push(held[0].id);
      await agent.reported("complete", held[0].id);
    }

    expect(order).toEqual(["first", "high", "older", "younger", "low"]);
  });

  it("becomes more urgent with age", async () => {
    const cluster = api.cluster();
    await cluster.configure({ task_config: { priority_aging_seconds: 1 } });
    await cluster.submit({ id: "old", priority: 4 });
    const { task: old } = await cluster.submit({ id: "mark", priority: 0 });
    // No event happens when a task becomes a step older: its age is computed when tasks are compared.
    await delay(Date.parse(old.created_at) + 1100 - Date.now());
    await cluster.submit({ id: "young", priority: 5 });

    await cluster.register("a1", { max_concurrent_tasks: 1 });

    expect((await cluster.task("old")).status).toBe("assigned");
  });
});

describe("cancelling", () => {
  it("ends a task in any state, can be repeated, and frees its slot", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "running" });
    await cluster.submit({ id: "waiting" });
    await cluster.submit({ id: "next" });
    await agent.reported("start", "running");

    for (const id of ["waiting", "running", "running"]) {
      const { task } = (await cluster.post(`/tasks/${id}/cancel`)).as(200, TaskAnswer);
      expect(task).toMatchObject({ status: "cancelled", finished_at: expect.any(String), deadline_at: null });
    }

    expect((await cluster.task("next")).assigned_to).toBe("a1");
    (await agent.report("complete", "running")).problem(409, "invalid_transition");
    (await agent.report("progress", "running", { progress: 0.5 })).problem(409, "invalid_transition");
    (await cluster.post("/tasks/running/retry")).problem(409, "invalid_transition");
    expect((await cluster.failures()).items).toEqual([]);
  });

  it("is refused to a task that has ended in another way", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await agent.reported("complete", "t1");

    (await cluster.post("/tasks/t1/cancel")).problem(409, "invalid_transition");

    expect((await cluster.task("t1")).status).toBe("completed");
  });
});

describe("retrying", () => {
  it("makes a failed task pending, resets its counts and continues its attempt numbers", async () => {
    const cluster = api.cluster();
    await failedTask(cluster);

    const { task } = (await cluster.post("/tasks/t1/retry")).as(200, TaskAnswer);

    expect(task).toMatchObject({
      status: "assigned",
      assigned_to: "a1",
      attempt: 2,
      reassignment_count: 0,
      previous_agents: [],
      error: null,
      finished_at: null,
    });
    const { items } = await cluster.decisions("t1");
    expect(items.at(-1)).toMatchObject({ reason: "operator", selected: "a1", attempt: 2 });
    expect((await cluster.status()).tasks).toMatchObject({ failed: 0, assigned: 1 });
  });

  it("is refused to a task that has not failed", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t1" });

    (await cluster.post("/tasks/t1/retry")).problem(409, "invalid_transition");
  });
});

describe("backups that an operator set", () => {
  it("are kept in order, can be set again, and are refused to a task that has ended", async () => {
    const cluster = api.cluster();
    await cluster.submit({ id: "t1" });
    const set = (backups: string[]) => cluster.request("PUT", "/tasks/t1/backups", { json: { backups } });

    for (let n = 0; n < 2; n++) {
      expect((await set(["a3", "a1", "a2"])).as(200, TaskAnswer).task.backups).toEqual(["a3", "a1", "a2"]);
    }
    (await set(["a1", "a1"])).problem(400, "invalid_request");
    await cluster.post("/tasks/t1/cancel");
    (await set(["a1"])).problem(409, "invalid_transition");

    expect((await cluster.task("t1")).backups).toEqual(["a3", "a1", "a2"]);
  });

  it("get the task, in order, when its agent fails", async () => {
    const cluster = api.cluster();
    await cluster.configure({ failover_config: { use_failover_strategy: false } });
    await cluster.register("a1");
    await cluster.submit({ id: "t1", backups: ["gone", "a3", "a2"] });
    await cluster.register("a2");
    await cluster.register("a3");

    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    expect((await cluster.task("t1")).assigned_to).toBe("a3");
  });
});

describe("lists", () => {
  it("of tasks are filtered by status, holder and type, newest first", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { capabilities: ["work", "else"] });
    await cluster.submit({ id: "t1" });
    await cluster.submit({ id: "t2", type: "else" });
    await cluster.submit({ id: "t3", type: "nobody" });
    await agent.reported("complete", "t1");

    const list = async (query: Record<string, string>) => ids((await cluster.tasks(query)).items);
    expect(await list({})).toEqual(["t3", "t2", "t1"]);
    expect(await list({ status: "pending" })).toEqual(["t3"]);
    expect(await list({ assigned_to: "a1" })).toEqual(["t2", "t1"]);
    expect(await list({ assigned_to: "a1", status: "completed" })).toEqual(["t1"]);
    expect(await list({ type: "else" })).toEqual(["t2"]);
    expect(await list({ type: "none" })).toEqual([]);
  });

  it("of tasks are read page by page, each task once, also while new ones arrive", async () => {
    const cluster = api.cluster();
    const all = Array.from({ length: 125 }, (_, n) => `b${n}`);
    await cluster.post("/tasks/batch", { tasks: all.map((id) => ({ id, type: "work" })) });

    const seen: string[] = [];
    const sizes: number[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await cluster.tasks(cursor === "" ? {} : { cursor });
      seen.push(...ids(page.items));
      sizes.push(page.items.length);
      cursor = page.next_cursor;
      await cluster.submit();
    }

    expect(sizes).toEqual([50, 50, 25]);
    expect(seen).toEqual(all.toReversed());
    expect((await cluster.tasks({ limit: 500 })).items).toHaveLength(128);
  });

  it("of decisions are read oldest first, page by page, and every score is the sum of its parts", async () => {
    const cluster = api.cluster();
    for (let n = 0; n < 8; n++) {
      await cluster.register(`a${n}`, { max_concurrent_tasks: n + 1, labels: { n: String(n) } });
      await cluster.submit({ required_labels: { n: String(n) } });
    }
    const { task } = await cluster.submit({ id: "t1" });
    expect(task.status).toBe("assigned");
    for (let move = 0; move < 2; move++) {
      const { assigned_to } = await cluster.task("t1");
      await cluster.post(`/agents/${assigned_to}/failures`, { failure_type: "reported" });
    }

    const first = await cluster.decisions("t1", { limit: 2 });
    const second = await cluster.decisions("t1", { limit: 2, cursor: first.next_cursor ?? "" });

    const decisions = [...first.items, ...second.items];
    expect(decisions.map(({ reason, attempt }) => [reason, attempt])).toEqual([
      ["submitted", 1],
      ["agent_failed", 2],
      ["agent_failed", 3],
    ]);
    expect(second.next_cursor).toBeNull();
    for (const decision of decisions) {
      expect(decision.candidates.length).toBe(Math.min(5, decision.candidate_count));
      expect(decision.selected).toBe(decision.candidates[0]?.agent_id);
      const scores = decision.candidates.map(({ score }) => score);
      expect(scores).toEqual(scores.toSorted((a, b) => b - a));
      for (const { score, factors } of decision.candidates) {
        expect(Object.keys(factors).sort()).toEqual(Object.keys(decision.weights).sort());
        for (const factor of Object.values(factors)) {
          expect(factor).toBeGreaterThanOrEqual(0);
          expect(factor).toBeLessThanOrEqual(1);
        }
        const sum = Object.entries(decision.weights).reduce(
          (total, [name, weight]) => total + weight * (factors[name] ?? Number.NaN),
          0,
        );
        expect(score).toBeCloseTo(sum, 9);
      }
      const counted = Object.values(decision.excluded_counts).reduce((total, count) => total + count, 0);
      expect(counted + decision.candidate_count).toBe(8);
      expect(decision.excluded.length).toBe(counted);
    }
  });
});
