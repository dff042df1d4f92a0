/** Results that arrive after their attempt has ended: kept, listed, accepted. */
import { describe, expect, it } from "vitest";
import { LateResultPage, TaskAnswer } from "../../src/contract/task.ts";
import { apiOfThisFile, type CheckedCluster, type JsonObject } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

/** Agent a1 had `t1`; a2 has it now, under attempt 2. */
async function moved(task: JsonObject = {}) {
  const cluster = api.cluster();
  const old = await cluster.register("a1");
  await cluster.submit({ id: "t1", ...task });
  await old.reported("start", "t1");
  const holder = await cluster.register("a2");
  await cluster.post("/agents/a1/failures", { failure_type: "reported" });
  return { cluster, old, holder };
}

const lateResults = async (cluster: CheckedCluster) =>
  (await cluster.get("/tasks/t1/late-results")).as(200, LateResultPage).items;

const accept = (cluster: CheckedCluster, attempt: number | string) =>
  cluster.post(`/tasks/t1/late-results/${attempt}/accept`);

describe("a late result", () => {
  it("is refused, kept, listed, and completes the task when it is accepted", async () => {
    const { cluster, old, holder } = await moved();
    await holder.reported("start", "t1", { attempt: 2 });

    const problem = (await old.report("complete", "t1", { result: { rows: 7 } })).problem(
      409,
      "stale_attempt",
    );

    expect(problem).toMatchObject({ attempt: 2, assigned_to: "a2", late_result: "kept" });
    expect(await cluster.task("t1")).toMatchObject({ status: "running", late_results: 1, result: null });
    expect(await lateResults(cluster)).toEqual([
      { attempt: 1, agent_id: "a1", result: { rows: 7 }, received_at: expect.any(String) },
    ]);

    const { task } = (await accept(cluster, 1)).as(200, TaskAnswer);

    expect(task).toMatchObject({ status: "completed", assigned_to: "a1", attempt: 1, result: { rows: 7 } });
    expect(await cluster.task("t1")).toEqual(task);
    expect((await accept(cluster, 1)).as(200, TaskAnswer).task).toEqual(task);
    const overtaken = await holder.report("progress", "t1", { attempt: 2, progress: 0.5 });
    expect(overtaken.problem(409, "stale_attempt")).toMatchObject({ attempt: 1, assigned_to: "a1" });
    expect(await cluster.agent("a1")).toMatchObject({ status: "inactive", tasks_completed: 1 });
    const ends = (await cluster.eventsSoFar()).filter(({ type }) => type === "task.completed");
    expect(ends).toMatchObject([{ subject: "t1", data: { agent_id: "a1", attempt: 1, late: true } }]);
  });

  it("completes the task at once if the task's policy allows it", async () => {
    const { cluster, old } = await moved({ late_result_policy: "accept_if_unfinished" });

    const task = await old.reported("complete", "t1", { result: "in the end" });

    expect(task).toMatchObject({ status: "completed", assigned_to: "a1", result: "in the end" });
    expect(await old.reported("complete", "t1", { result: "in the end" })).toEqual(task);
    expect(await cluster.agent("a2")).toMatchObject({ task_count: 0 });
  });

  it("is dropped if the configuration says so for tasks without a policy", async () => {
    const cluster = api.cluster();
    await cluster.configure({ task_config: { late_result_policy: "reject" } });
    const old = await cluster.register("a1");
    await cluster.submit({ id: "t1" });
    await cluster.register("a2");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    const problem = (await old.report("complete", "t1", { result: 1 })).problem(409, "stale_attempt");

    expect(problem).toMatchObject({ late_result: "rejected" });
    expect(await lateResults(cluster)).toEqual([]);
    expect((await cluster.task("t1")).late_results).toBe(0);
  });

  it("in a batch is kept, and the other results of the batch count", async () => {
    const { cluster, holder } = await moved();
    await cluster.submit({ id: "t2" });
    const answer = await cluster.post("/results", {
      results: [
        { task_id: "t1", agent_id: "a1", attempt: 1, result: "late" },
        { task_id: "t2", agent_id: "a2", attempt: 1, result: "in time" },
      ],
    });
    expect(answer.body).toEqual({
      results: [
        { task_id: "t1", ok: false, code: "stale_attempt" },
        { task_id: "t2", ok: true },
      ],
    });
    expect(await lateResults(cluster)).toMatchObject([{ result: "late" }]);
    expect((await cluster.agent(holder.id)).tasks_completed).toBe(1);
  });

  it("cannot be accepted for a completed or cancelled task, nor where there is none", async () => {
    const { cluster, old, holder } = await moved();
    (await accept(cluster, 1)).problem(404, "not_found");
    (await cluster.post("/tasks/nothing/late-results/1/accept")).problem(404, "not_found");
    (await cluster.get("/tasks/nothing/late-results")).problem(404, "not_found");
    (await accept(cluster, 0)).problem(400, "invalid_request");
    (await accept(cluster, "x")).problem(400, "invalid_request");
    (await old.report("complete", "t1", { result: "late" })).problem(409, "stale_attempt");
    await holder.reported("complete", "t1", { attempt: 2, result: "in time" });
    expect(
      (await old.report("complete", "t1", { result: "late" })).problem(409, "stale_attempt"),
    ).toMatchObject({ late_result: "kept", detail: expect.stringContaining("for reading only") });

    (await accept(cluster, 1)).problem(409, "invalid_transition");

    expect((await cluster.task("t1")).result).toBe("in time");
  });

  it("can be read and accepted by the administrator, not by agents", async () => {
    const { old } = await moved();
    (await old.request("GET", "/tasks/t1/late-results")).problem(403, "forbidden");
    (await old.request("POST", "/tasks/t1/late-results/1/accept")).problem(403, "forbidden");
  });
});
