/** Results that arrive after their attempt has ended, step by step on simulated time. */
import { describe, expect, it } from "vitest";
import type { Outcome } from "../../src/contract/problem.ts";
import type { LateResult, Task } from "../../src/contract/task.ts";
import { agentPrincipal } from "../support/principals.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

/** `a` had `t` under attempt 1, which timed out after 2 s; `b` has it under attempt 2. */
async function moved(late_result_policy: "keep" | "accept_if_unfinished" | "reject" = "keep") {
  const cluster = new ScriptedCluster();
  await cluster.register("a");
  await cluster.submit({ id: "t", timeout_seconds: 1.9, late_result_policy });
  good(cluster.start("t", "a", 1));
  await cluster.register("b", { max_concurrent_tasks: 1 });
  await cluster.pass(2000);
  expect(cluster.task("t")).toMatchObject({ assigned_to: "b", attempt: 2 });
  return cluster;
}

const lateResults = (cluster: ScriptedCluster, taskId = "t"): LateResult[] =>
  good(cluster.cluster.coordinator.serve((service) => service.queries.lateResults(taskId, 50, null))).items;

const accept = (cluster: ScriptedCluster, attempt: number, taskId = "t"): Outcome<Task> =>
  cluster.cluster.coordinator.serve((service) => service.acceptLateResult(taskId, attempt));

const eventsOf = (cluster: ScriptedCluster, type: string) =>
  cluster.cluster.coordinator
    .serve((service) => service.queries.events(0, 1000))
    .filter((event) => event.type === type);

const KEPT = { ok: false, problem: { code: "stale_attempt", evidence: { late_result: "kept" } } };
const REJECTED = { ok: false, problem: { code: "stale_attempt", evidence: { late_result: "rejected" } } };

describe("a late result", () => {
  it("is refused and kept with the task once, also across a crash", async () => {
    const cluster = await moved();

    expect(cluster.complete("t", "a", 1, "precious")).toMatchObject({
      problem: { evidence: { attempt: 2, assigned_to: "b", task_status: "assigned", late_result: "kept" } },
    });
    cluster.cluster.coordinator.end();
    expect(cluster.complete("t", "a", 1, "another")).toMatchObject(KEPT);

    expect(cluster.task("t")).toMatchObject({
      status: "assigned",
      attempt: 2,
      result: null,
      late_results: 1,
    });
    expect(lateResults(cluster)).toEqual([
      { attempt: 1, agent_id: "a", result: "precious", received_at: expect.any(String) },
    ]);
    expect(eventsOf(cluster, "task.late_result")).toMatchObject([
      { subject: "t", data: { agent_id: "a", attempt: 1 } },
    ]);
  });

  it("is not kept if the task's policy is to reject it, and nothing changes", async () => {
    const cluster = await moved("reject");
    const before = cluster.task("t");
    expect(cluster.complete("t", "a", 1, "late")).toMatchObject(REJECTED);
    expect(cluster.task("t")).toEqual(before);
    expect(lateResults(cluster)).toEqual([]);
  });

  it("is not kept for an attempt that the agent never had", async () => {
    const cluster = await moved();
    expect(cluster.complete("t", "b", 1, "not mine")).toMatchObject(REJECTED);
    expect(cluster.complete("t", "a", 2, "not mine")).toMatchObject(REJECTED);
    expect(cluster.complete("t", "a", 7, "not there")).toMatchObject(REJECTED);
    expect(lateResults(cluster)).toEqual([]);
  });

  it("of a failed task's last attempt is kept, and completes the task when it is accepted", async () => {
    const cluster = new ScriptedCluster({ failover_config: { max_reassignment_attempts: 0 } });
    await cluster.register("a");
    await cluster.submit({ id: "t", timeout_seconds: 2 });
    good(cluster.start("t", "a", 1));
    await cluster.pass(2100);
    expect(cluster.task("t").status).toBe("failed");
    expect(cluster.complete("t", "a", 1, "done after all")).toMatchObject({
      problem: { code: "invalid_transition", evidence: { late_result: "kept" } },
    });
    expect(good(accept(cluster, 1))).toMatchObject({
      status: "completed",
      assigned_to: "a",
      result: "done after all",
      error: null,
    });
  });

  it("that reports an error is not kept", async () => {
    const cluster = await moved();
    expect(cluster.fail("t", "a", 1)).toMatchObject({ problem: { code: "stale_attempt" } });
    expect(lateResults(cluster)).toEqual([]);
  });

  it("in a batch or a socket frame is kept, and the other reports are served", async () => {
    const cluster = await moved();
    await cluster.submit({ id: "own" });
    const principal = agentPrincipal("a", cluster.incarnationOf("a"));
    const batch = cluster.cluster.coordinator.serve((service) =>
      service.settleBatch(
        [
          { task_id: "own", agent_id: "a", attempt: 1, result: 1 },
          { task_id: "t", agent_id: "a", attempt: 1, result: "late" },
        ],
        principal,
      ),
    );
    expect(batch).toMatchObject([{ ok: true }, KEPT]);
    await cluster.submit({ id: "other" });
    await cluster.submit({ id: "failing" });
    const report = { request_id: "r", attempt: 1 };
    const answers = cluster.cluster.coordinator.serve((service) =>
      service.reportAll([
        { principal, frame: { type: "task_start", task_id: "other", ...report } },
        { principal, frame: { type: "task_complete", task_id: "t", ...report, result: "again" } },
        { principal, frame: { type: "task_progress", task_id: "nothing", ...report, progress: 0.5 } },
        { principal, frame: { type: "task_progress", task_id: "other", ...report, progress: 0.5 } },
        {
          principal,
          frame: {
            type: "task_fail",
            task_id: "failing",
            ...report,
            error: { message: "no", retryable: false },
          },
        },
      ]),
    );
    expect(answers).toMatchObject([
      { ok: true, value: { status: "running" } },
      KEPT,
      { ok: false, problem: { code: "not_found" } },
      { ok: true, value: { progress: 0.5 } },
      { ok: true, value: { status: "failed" } },
    ]);
    expect(lateResults(cluster).map(({ result }) => result)).toEqual(["late"]);
  });

  it("is kept up to a count and a size, and is deleted with its task", async () => {
    const cluster = new ScriptedCluster({
      failover_config: { max_reassignment_attempts: 100 },
      task_config: { retention_seconds: 10 },
    });
    await cluster.register("a");
    await cluster.submit({ id: "t", start_timeout_seconds: 1 });
    await cluster.pass(23_000);
    expect(cluster.complete("t", "a", 1, "x".repeat(262_144))).toMatchObject(REJECTED);
    for (let attempt = 1; attempt <= 20; attempt++) {
      expect(cluster.complete("t", "a", attempt, `late-${attempt}`)).toMatchObject(KEPT);
    }
    expect(cluster.complete("t", "a", 21, "one too many")).toMatchObject(REJECTED);
    expect(cluster.complete("t", "a", 3, "again")).toMatchObject(KEPT);
    expect(cluster.task("t").late_results).toBe(20);
    expect(lateResults(cluster).map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    good(accept(cluster, 7));
    await cluster.pass(11_000);
    const { database } = cluster.cluster.coordinator;
    expect(database.prepare("SELECT count(*) AS count FROM late_results").get()).toEqual({ count: 0 });
  });
});

describe("accepting a late result", () => {
  it("completes the task, revokes the current attempt, and counts for the agent that did it", async () => {
    const cluster = await moved();
    good(cluster.start("t", "b", 2));
    await cluster.submit({ id: "next", required_labels: {}, type: "resize" });
    cluster.complete("t", "a", 1, "precious");
    cluster.cluster.revoked.length = 0;

    const task = good(accept(cluster, 1));

    expect(task).toMatchObject({
      status: "completed",
      assigned_to: "a",
      attempt: 1,
      started_at: null,
      result: "precious",
      late_results: 1,
    });
    expect(task.assigned_at).toBe(task.created_at);
    expect(cluster.cluster.revoked).toEqual([
      { agentId: "b", taskId: "t", attempt: 2, reason: "late_result_accepted" },
    ]);
    expect(cluster.agent("a").tasks_completed).toBe(1);
    expect(cluster.agent("a").mean_task_seconds).toBeGreaterThan(2);
    expect(cluster.agent("b")).toMatchObject({ tasks_completed: 0, task_count: 0 });
    expect(eventsOf(cluster, "task.completed")).toMatchObject([
      { subject: "t", data: { agent_id: "a", attempt: 1, late: true } },
    ]);
    expect(cluster.complete("t", "b", 2, "too late now")).toMatchObject({
      problem: {
        detail: expect.stringContaining("for reading only"),
        evidence: { attempt: 1, assigned_to: "a", task_status: "completed", late_result: "kept" },
      },
    });
    expect(cluster.task("t")).toMatchObject({ attempt: 1, result: "precious", late_results: 2 });
    expect(accept(cluster, 2)).toMatchObject({ problem: { code: "invalid_transition" } });
    expect(good(cluster.complete("t", "a", 1, "precious"))).toMatchObject({ attempt: 1, result: "precious" });
  });

  it("gives a repeated call, and the agent's repeated report, the first answer", async () => {
    const cluster = await moved();
    cluster.complete("t", "a", 1, "precious");
    const task = good(accept(cluster, 1));
    expect(good(accept(cluster, 1))).toEqual(task);
    expect(good(cluster.complete("t", "a", 1, "precious"))).toEqual(task);
    expect(eventsOf(cluster, "task.completed")).toHaveLength(1);
  });

  it("of an agent that also has the current attempt does not accept the current attempt's report", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t", timeout_seconds: 1 });
    good(cluster.start("t", "a", 1));
    await cluster.pass(1100);
    expect(cluster.task("t")).toMatchObject({ assigned_to: "a", attempt: 2 });
    cluster.complete("t", "a", 1, "first");
    good(accept(cluster, 1));
    expect(cluster.complete("t", "a", 2, "second")).toMatchObject(KEPT);
    expect(cluster.task("t")).toMatchObject({ attempt: 1, result: "first" });
    expect(good(cluster.complete("t", "a", 1, "first")).result).toBe("first");
  });

  it("fills the slot that it frees", async () => {
    const cluster = await moved();
    good(cluster.drain("a"));
    await cluster.submit({ id: "next" });
    expect(cluster.task("next").status).toBe("pending");
    cluster.complete("t", "a", 1, "precious");
    good(accept(cluster, 1));
    expect(cluster.task("next")).toMatchObject({ status: "assigned", assigned_to: "b" });
  });

  it("is possible for pending and failed tasks, not for completed or cancelled ones", async () => {
    const pending = await moved();
    pending.complete("t", "a", 1, "late");
    good(pending.drain("a"));
    good(pending.drain("b", { mode: "move" }));
    expect(pending.task("t").status).toBe("pending");
    expect(good(accept(pending, 1)).status).toBe("completed");

    const failed = await moved();
    failed.complete("t", "a", 1, "late");
    good(failed.fail("t", "b", 2, false));
    expect(good(accept(failed, 1))).toMatchObject({ status: "completed", error: null });

    const completed = await moved();
    completed.complete("t", "a", 1, "late");
    good(completed.complete("t", "b", 2, "in time"));
    expect(accept(completed, 1)).toMatchObject({ problem: { code: "invalid_transition" } });
    expect(completed.task("t").result).toBe("in time");

    const cancelled = await moved();
    cancelled.complete("t", "a", 1, "late");
    good(cancelled.cluster.coordinator.serve((service) => service.cancel("t")));
    expect(accept(cancelled, 1)).toMatchObject({ problem: { code: "invalid_transition" } });
  });

  it("is announced in the refusal only while the task can still be completed", async () => {
    const refusalAfter = async (settle: (cluster: ScriptedCluster) => Outcome<Task>) => {
      const cluster = await moved();
      good(settle(cluster));
      const refused = cluster.complete("t", "a", 1, "late");
      expect(refused).toMatchObject({ problem: { evidence: { late_result: "kept" } } });
      expect(lateResults(cluster)).toHaveLength(1);
      const { detail } = refused.ok ? { detail: "" } : refused.problem;
      return { detail, isAcceptable: accept(cluster, 1).ok };
    };
    const outcomes = [
      await refusalAfter((cluster) => cluster.start("t", "b", 2)),
      await refusalAfter((cluster) => cluster.fail("t", "b", 2, false)),
      await refusalAfter((cluster) => cluster.complete("t", "b", 2, "in time")),
      await refusalAfter((cluster) => cluster.cluster.coordinator.serve((service) => service.cancel("t"))),
    ];
    expect(outcomes.map(({ isAcceptable }) => isAcceptable)).toEqual([true, true, false, false]);
    for (const { detail, isAcceptable } of outcomes) {
      expect(detail).toContain(isAcceptable ? "until it is accepted" : "for reading only");
    }
  });

  it("answers not_found where no result is kept", async () => {
    const cluster = await moved();
    expect(accept(cluster, 1)).toMatchObject({ problem: { code: "not_found" } });
    expect(accept(cluster, 1, "nothing")).toMatchObject({ problem: { code: "not_found" } });
  });
});

describe("a late result under accept_if_unfinished", () => {
  it("completes an unfinished task, and a repeated report gets the same answer", async () => {
    const cluster = await moved("accept_if_unfinished");
    cluster.cluster.revoked.length = 0;
    const task = good(cluster.complete("t", "a", 1, "precious"));
    expect(task).toMatchObject({
      status: "completed",
      assigned_to: "a",
      attempt: 1,
      result: "precious",
      late_results: 0,
    });
    expect(cluster.cluster.revoked).toMatchObject([{ agentId: "b", reason: "late_result_accepted" }]);
    cluster.cluster.coordinator.end();
    expect(good(cluster.complete("t", "a", 1, "precious"))).toEqual(task);
    expect(cluster.start("t", "b", 2)).toMatchObject({ problem: { code: "stale_attempt" } });
    expect(eventsOf(cluster, "task.completed")).toMatchObject([{ data: { attempt: 1, late: true } }]);
  });

  it("is kept when the task is finished", async () => {
    const cluster = await moved("accept_if_unfinished");
    good(cluster.complete("t", "b", 2, "in time"));
    expect(cluster.complete("t", "a", 1, "late")).toMatchObject(KEPT);
    expect(cluster.task("t")).toMatchObject({ result: "in time", late_results: 1 });
  });
});

describe("an attempt that is taken from its holder", () => {
  it("is revoked with the reason `timed_out` or `cancelled`", async () => {
    const cluster = await moved();
    expect(cluster.cluster.revoked).toEqual([{ agentId: "a", taskId: "t", attempt: 1, reason: "timed_out" }]);
    good(cluster.cluster.coordinator.serve((service) => service.cancel("t")));
    expect(cluster.cluster.revoked.at(-1)).toEqual({
      agentId: "b",
      taskId: "t",
      attempt: 2,
      reason: "cancelled",
    });
  });
});
