/** Failover of tasks and locks, step by step on simulated time. */
import { describe, expect, it } from "vitest";
import type { Registration } from "../../src/contract/agent.ts";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { TaskSubmission } from "../../src/contract/task.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import { agentPrincipal } from "../support/principals.ts";
import { bad, good, granted, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

/** The timeout of the scripted agents, the second check of the alarm, and messages between objects. */
const NOTICED_MS = 3000 + 250;

describe("an agent that falls silent", () => {
  it("is inactive right after its timeout, not before, and its later heartbeats are refused", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    cluster.silence("a");
    const group = cluster.cluster.group("default");
    const [{ deadline_at } = { deadline_at: "" }] = group.serve((service) => service.liveness(["a"]));
    await cluster.pass(Date.parse(deadline_at) - cluster.world.nowMs);
    expect(cluster.failures()).toEqual([]);
    await cluster.pass(250);
    expect(cluster.failures()).toMatchObject([
      { agent_id: "a", failure_type: "heartbeat_timeout", severity: "error" },
    ]);
    const beat = group.serve((service) =>
      service.heartbeat("a", {}, agentPrincipal("a", cluster.incarnationOf("a"))),
    );
    expect(beat).toMatchObject({ ok: false, problem: { code: "session_expired" } });
  });

  it("loses its unfinished tasks to another capable agent, most urgent first, and each decision has its reason", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "low", priority: 1 });
    await cluster.submit({ id: "high", priority: 9 });
    good(cluster.start("low", "a", 1));
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    for (const id of ["low", "high"]) {
      expect(cluster.task(id)).toMatchObject({
        status: "assigned",
        assigned_to: "b",
        attempt: 2,
        reassignment_count: 1,
        previous_agents: ["a"],
      });
      expect(
        cluster.decisions(id).map(({ reason, from_agent, selected }) => [reason, from_agent, selected]),
      ).toEqual([
        ["submitted", null, "a"],
        ["agent_failed", "a", "b"],
      ]);
    }
    const moved = cluster.cluster.coordinator
      .serve((service) => service.queries.events(0, 100))
      .filter(({ type, data }) => type === "task.assigned" && data.attempt === 2);
    expect(moved.map(({ subject }) => subject)).toEqual(["high", "low"]);
    expect(cluster.failures()[0]).toMatchObject({
      tasks_reassigned: 2,
      tasks_pending: 0,
      agent: { task_count: 2 },
    });
  });

  it("loses its locks, and the next holder gets a greater fencing token", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.register("b");
    const group = cluster.cluster.group("default");
    const first = granted(
      group.serve((service) => service.locks.acquire("orders", { agent_id: "a", ttl_seconds: 60 }, ADMIN)),
    );
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    const second = granted(
      group.serve((service) => service.locks.acquire("orders", { agent_id: "b" }, ADMIN)),
    );
    expect(second.fencing_token).toBeGreaterThan(first.fencing_token);
    const stale = group.serve((service) => service.locks.renew("orders", first.fencing_token, ADMIN));
    expect(stale).toMatchObject({ ok: false, problem: { code: "stale_fencing_token" } });
    expect(cluster.failures()[0]?.locks_released).toEqual(["orders"]);
  });

  it("has a failure of severity critical if the configuration lists it as critical", async () => {
    const cluster = new ScriptedCluster({ failover_config: { critical_agents: ["a"] } });
    await cluster.register("a");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.failures()).toMatchObject([{ severity: "critical" }]);
  });

  it("has its tasks moved before those of other failed agents if it is critical", async () => {
    const cluster = new ScriptedCluster({ failover_config: { critical_agents: ["b"] } });
    await cluster.register("a");
    await cluster.submit({ id: "ordinary", priority: 10 });
    await cluster.register("b", { capabilities: ["resize", "engrave"] });
    await cluster.submit({ id: "critical", type: "engrave", priority: 0 });
    await cluster.register("c", { capabilities: ["resize", "engrave"] });
    cluster.silence("a");
    cluster.silence("b");
    // One check of the alarm finds both: the extension for the group's own outage applies to both.
    cluster.cluster.kill();
    await cluster.pass(500);
    cluster.cluster.start();
    await cluster.pass(NOTICED_MS);
    const moved = cluster.cluster.coordinator
      .serve((service) => service.queries.events(0, 1000))
      .filter(({ type, data }) => type === "task.assigned" && data.agent_id === "c");
    expect(moved.map(({ subject }) => subject)).toEqual(["critical", "ordinary"]);
  });

  it("keeps tasks and locks while failover is off, and its failure is recorded all the same", async () => {
    const cluster = new ScriptedCluster({ failover_config: { enabled: false } });
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    await cluster.register("b");
    const group = cluster.cluster.group("default");
    granted(
      group.serve((service) => service.locks.acquire("orders", { agent_id: "a", ttl_seconds: 10 }, ADMIN)),
    );
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.failures()).toHaveLength(1);
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a", attempt: 1 });
    expect(good(group.serve((service) => service.locks.get("orders"))).holder).toBe("a");
    await cluster.pass(10_000);
    expect(group.serve((service) => service.locks.get("orders"))).toMatchObject({ ok: false });
    // When the agent is back, it continues under a new attempt.
    await cluster.register("a");
    expect(cluster.task("t")).toMatchObject({
      status: "assigned",
      assigned_to: "a",
      attempt: 2,
      reassignment_count: 0,
    });
  });

  it("has its tasks moved when failover is switched on again", async () => {
    const cluster = new ScriptedCluster({ failover_config: { enabled: false } });
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t").assigned_to).toBe("a");
    const change = cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ failover_config: { enabled: true } }, null),
    );
    await cluster.pass(2000);
    good(await change);
    expect(cluster.task("t")).toMatchObject({ assigned_to: "b", attempt: 2 });
    expect(cluster.failures().map(({ failure_type }) => failure_type)).toEqual(["heartbeat_timeout"]);
  });

  it("hands no task to another agent that fails at the same moment", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.register("b");
    await cluster.register("c", { max_concurrent_tasks: 30 });
    for (let index = 0; index < 12; index++) await cluster.submit({ id: `t${index}` });
    cluster.silence("a");
    cluster.silence("b");
    await cluster.pass(2 * NOTICED_MS);
    for (let index = 0; index < 12; index++) {
      const holders = cluster.decisions(`t${index}`).map(({ selected }) => selected);
      expect(holders.at(-1)).toBe("c");
      expect(holders.length).toBeLessThanOrEqual(2);
    }
  });
});

describe("an agent that registers again", () => {
  it("keeps the tasks that it claims, gets the others under new attempts, and loses the locks of its old incarnation", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "kept" });
    await cluster.submit({ id: "anew" });
    good(cluster.start("kept", "a", 1));
    const group = cluster.cluster.group("default");
    const lock = granted(group.serve((service) => service.locks.acquire("orders", { agent_id: "a" }, ADMIN)));
    const before = cluster.incarnationOf("a");
    await cluster.register("a", { running_tasks: [{ task_id: "kept", attempt: 1 }] });
    expect(cluster.incarnationOf("a")).toBeGreaterThan(before);
    expect(cluster.task("kept")).toMatchObject({ status: "running", attempt: 1 });
    expect(cluster.task("anew")).toMatchObject({
      status: "assigned",
      assigned_to: "a",
      attempt: 2,
      reassignment_count: 0,
    });
    expect(cluster.decisions("anew").at(-1)?.reason).toBe("agent_reregistered");
    expect(group.serve((service) => service.locks.get("orders"))).toMatchObject({ ok: false });
    expect(group.serve((service) => service.locks.renew("orders", lock.fencing_token, ADMIN))).toMatchObject({
      problem: { code: "stale_fencing_token" },
    });
    expect(group.serve((service) => service.heartbeat("a", {}, agentPrincipal("a", before)))).toMatchObject({
      problem: { code: "session_expired" },
    });
    expect(cluster.failures()).toEqual([]);
  });
});

describe("an agent's claim to a task that is pending again", () => {
  /** `a` ran `t` under attempt 1, was declared failed, and no other agent could take the task. */
  async function pendingAgain(submission: Partial<TaskSubmission> = {}, config: ConfigInput = {}) {
    const cluster = new ScriptedCluster(config);
    await cluster.register("a");
    await cluster.submit({ ...submission, id: "t" });
    good(cluster.start("t", "a", 1));
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ status: "pending", attempt: 1, reassignment_count: 1 });
    return cluster;
  }
  const CLAIM: Partial<Registration> = { running_tasks: [{ task_id: "t", attempt: 1 }] };

  it("is honoured: the task continues under the same attempt, and no reassignment is counted", async () => {
    const cluster = await pendingAgain({ timeout_seconds: 60 });
    await cluster.register("a", CLAIM);
    expect(cluster.task("t")).toMatchObject({
      status: "running",
      assigned_to: "a",
      attempt: 1,
      reassignment_count: 0,
      previous_agents: [],
      pending_reason: null,
    });
    const { assigned_at, started_at, deadline_at, created_at } = cluster.task("t");
    expect(assigned_at).toBe(created_at);
    // The time that was left is not stored, so the attempt gets its whole timeout again.
    expect(Date.parse(deadline_at ?? "")).toBe(Date.parse(started_at ?? "") + 60_000);
    expect(cluster.agent("a").task_count).toBe(1);
    expect(cluster.decisions("t").at(-1)).toMatchObject({
      reason: "agent_reregistered",
      attempt: 1,
      from_agent: "a",
      selected: "a",
      explanation: expect.stringContaining("goes on"),
    });
    expect(cluster.eventTypes().slice(-2)).toEqual(["task.assigned", "task.started"]);
    good(cluster.progress("t", "a", 1, 0.5));
    cluster.cluster.coordinator.end();
    expect(good(cluster.complete("t", "a", 1, "done once")).status).toBe("completed");
    expect(cluster.agent("a")).toMatchObject({ tasks_completed: 1, task_count: 0 });
  });

  it("is honoured every time: a task that never moved does not run out of reassignments", async () => {
    const cluster = await pendingAgain({ priority: 8 });
    for (let time = 0; time < 6; time++) {
      await cluster.register("a", CLAIM);
      expect(cluster.task("t")).toMatchObject({
        status: "running",
        attempt: 1,
        reassignment_count: 0,
        priority: 8,
      });
      cluster.silence("a");
      await cluster.pass(NOTICED_MS);
      expect(cluster.task("t")).toMatchObject({ status: "pending", reassignment_count: 1 });
    }
  });

  it.each([0, 1, 5, 10])("restores a priority of %i that the loss had lowered", async (priority) => {
    const cluster = await pendingAgain({ priority }, { failover_config: { preserve_task_priority: false } });
    expect(cluster.task("t").priority).toBe(Math.max(0, priority - 1));
    await cluster.register("a", CLAIM);
    expect(cluster.task("t")).toMatchObject({ status: "running", priority, reassignment_count: 0 });
  });

  it("keeps the counts at zero after an operator's retry has reset them", async () => {
    const cluster = new ScriptedCluster({
      failover_config: { max_reassignment_attempts: 0, preserve_task_priority: false },
    });
    await cluster.register("a");
    await cluster.submit({ id: "t", priority: 5 });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ status: "failed", priority: 5 });
    good(cluster.cluster.coordinator.serve((service) => service.retry("t")));
    await cluster.register("a", CLAIM);
    expect(cluster.task("t")).toMatchObject({ status: "running", reassignment_count: 0, priority: 5 });
  });

  it("undoes only the last loss: an earlier move stays counted", async () => {
    const cluster = new ScriptedCluster({ failover_config: { preserve_task_priority: false } });
    await cluster.register("a");
    await cluster.submit({ id: "t", priority: 5 });
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    cluster.silence("b");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ status: "pending", reassignment_count: 2, priority: 3 });
    await cluster.register("b", { running_tasks: [{ task_id: "t", attempt: 2 }] });
    expect(cluster.task("t")).toMatchObject({
      status: "running",
      assigned_to: "b",
      reassignment_count: 1,
      previous_agents: ["a"],
      priority: 4,
    });
  });

  it("fences as before: when the agent fails again, the task gets the next attempt", async () => {
    const cluster = await pendingAgain();
    await cluster.register("a", CLAIM);
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({ assigned_to: "b", attempt: 2, reassignment_count: 1 });
    expect(cluster.progress("t", "a", 1, 0.5)).toMatchObject({ problem: { code: "stale_attempt" } });
  });

  it("counts for an agent that has left, and for a task that an operator retried", async () => {
    const left = new ScriptedCluster();
    await left.register("a");
    await left.submit({ id: "t" });
    left.silence("a");
    const unregistered = left.cluster.group("default").serve((service) => service.unregister("a", ADMIN));
    await left.pass(50);
    await unregistered;
    await left.register("a", CLAIM);
    expect(left.task("t")).toMatchObject({ status: "running", assigned_to: "a", attempt: 1 });

    const retried = new ScriptedCluster({ failover_config: { max_reassignment_attempts: 0 } });
    await retried.register("a");
    await retried.submit({ id: "t" });
    retried.silence("a");
    await retried.pass(NOTICED_MS);
    expect(retried.task("t").status).toBe("failed");
    good(retried.cluster.coordinator.serve((service) => service.retry("t")));
    await retried.register("a", CLAIM);
    expect(retried.task("t")).toMatchObject({ status: "running", assigned_to: "a", attempt: 1 });
  });

  it("comes before new work for the agent's slots, and is honoured beyond them", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 2 });
    await cluster.submit({ id: "one" });
    await cluster.submit({ id: "two" });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    await cluster.submit({ id: "urgent", priority: 10 });
    const running_tasks = ["one", "two"].map((task_id) => ({ task_id, attempt: 1 }));
    await cluster.register("a", { max_concurrent_tasks: 1, running_tasks });
    expect(cluster.agent("a").task_count).toBe(2);
    expect(cluster.task("urgent").status).toBe("pending");
    for (const id of ["one", "two"])
      expect(cluster.task(id)).toMatchObject({ status: "running", attempt: 1 });
  });

  it("is honoured for more tasks than one batch reads", async () => {
    const count = 250;
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: count });
    for (let index = 0; index < count; index++) await cluster.submit({ id: `t${index}` });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    const running_tasks = Array.from({ length: count }, (_, index) => ({ task_id: `t${index}`, attempt: 1 }));
    await cluster.register("a", { max_concurrent_tasks: count, running_tasks });
    expect(cluster.agent("a").task_count).toBe(count);
    expect(cluster.task("t249")).toMatchObject({ status: "running", attempt: 1 });
  });

  it.each([
    { why: "it is not the last attempt", claim: { task_id: "t", attempt: 2 } },
    { why: "there is no such task", claim: { task_id: "nothing", attempt: 1 } },
  ])("is not honoured when $why", async ({ claim }) => {
    const cluster = await pendingAgain();
    await cluster.register("a", { running_tasks: [claim] });
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "a", attempt: 2 });
  });

  it("is not honoured for another agent's task", async () => {
    const cluster = await pendingAgain();
    await cluster.register("b", { capabilities: ["else"] });
    await cluster.register("b", { capabilities: ["resize"], ...CLAIM });
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "b", attempt: 2 });
  });

  it.each([
    { what: "its group", submission: { group: "default" }, overrides: {}, group: "other" },
    { what: "its capabilities", submission: {}, overrides: { capabilities: ["else"] }, group: "default" },
  ])("is not honoured when the agent came back without $what", async ({ submission, overrides, group }) => {
    const cluster = await pendingAgain(submission);
    await cluster.register("a", { ...CLAIM, ...overrides }, group);
    expect(cluster.task("t")).toMatchObject({ status: "pending", attempt: 1 });
    expect(good(cluster.complete("t", "a", 1, "done all the same")).status).toBe("completed");
  });

  it("is not honoured for a task that timed out or that the agent itself failed", async () => {
    const timedOut = new ScriptedCluster();
    await timedOut.register("a");
    await timedOut.submit({ id: "t", timeout_seconds: 1 });
    good(timedOut.start("t", "a", 1));
    good(timedOut.drain("a"));
    await timedOut.pass(1100);
    expect(timedOut.task("t").status).toBe("pending");
    await timedOut.register("a", CLAIM);
    expect(timedOut.task("t")).toMatchObject({ status: "pending", attempt: 1 });

    const reported = new ScriptedCluster();
    await reported.register("a");
    await reported.submit({ id: "t" });
    good(reported.fail("t", "a", 1));
    await reported.register("a", CLAIM);
    expect(reported.task("t").status).toBe("pending");
  });

  it("is not honoured for a task that has ended", async () => {
    const cluster = await pendingAgain();
    good(cluster.cluster.coordinator.serve((service) => service.cancel("t")));
    await cluster.register("a", CLAIM);
    expect(cluster.task("t")).toMatchObject({ status: "cancelled", attempt: 1 });
    expect(cluster.agent("a").task_count).toBe(0);
  });

  it("is honoured under an operator's drain until the drain is over", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    good(cluster.start("t", "a", 1));
    good(cluster.drain("a", { deadline_seconds: 30 }));
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    await cluster.register("a", CLAIM);
    expect(cluster.agent("a").status).toBe("draining");
    expect(cluster.task("t")).toMatchObject({ status: "running", assigned_to: "a", attempt: 1 });
    await cluster.pass(30_000);
    expect(cluster.task("t")).toMatchObject({ status: "pending", attempt: 1 });
    await cluster.register("a", CLAIM);
    expect(cluster.task("t")).toMatchObject({ status: "pending", attempt: 1 });
  });
});

describe("a pending task that was taken from its holder", () => {
  it("can be neither started nor continued under the ended attempt, and the refusal says so", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t").status).toBe("pending");
    for (const answer of [cluster.start("t", "a", 1), cluster.progress("t", "a", 1, 0.5)]) {
      expect(bad(answer)).toEqual({
        code: "invalid_transition",
        detail:
          "this attempt has ended and the task is pending; stop working on it, or send its result with complete",
        evidence: { attempt: 1, assigned_to: null, task_status: "pending" },
      });
    }
    expect(good(cluster.complete("t", "a", 1, "done all the same")).status).toBe("completed");
  });
});

describe("tasks that no agent can take", () => {
  it("stay pending with the reason, are recorded as a failure, and are assigned when a capable agent registers", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { capabilities: ["resize"] });
    await cluster.register("b", { capabilities: ["translate"] });
    await cluster.submit({ id: "t" });
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t")).toMatchObject({
      status: "pending",
      assigned_to: null,
      pending_code: "no_capability",
      pending_reason: "no live agent can do resize: 1 inactive, 1 without the capability",
    });
    expect(cluster.failures().map(({ failure_type }) => failure_type)).toEqual([
      "no_suitable_agent",
      "heartbeat_timeout",
    ]);
    await cluster.register("c", { capabilities: ["resize"] });
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "c", attempt: 2 });
    expect(cluster.decisions("t").at(-1)).toMatchObject({ reason: "capacity_freed", from_agent: "a" });
  });

  it("are assigned by priority, then by age, as slots become free", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "first" });
    await cluster.submit({ id: "old", priority: 3 });
    await cluster.pass(10);
    await cluster.submit({ id: "young", priority: 3 });
    await cluster.submit({ id: "urgent", priority: 8 });
    const order: string[] = [];
    for (let done = 0; done < 4; done++) {
      const { items } = cluster.cluster.coordinator.serve((service) =>
        service.queries.tasksOf(
          "a",
          { statuses: ["assigned"], limit: 50, cursor: null },
          agentPrincipal("a", 1),
        ),
      );
      const [held] = items;
      if (held === undefined) break;
      order.push(held.id);
      good(cluster.complete(held.id, "a", held.attempt, "done"));
    }
    expect(order).toEqual(["first", "urgent", "old", "young"]);
  });

  it("do not starve: a task that has waited long enough comes before more urgent ones", async () => {
    const cluster = new ScriptedCluster({ task_config: { priority_aging_seconds: 10 } });
    await cluster.register("a", { max_concurrent_tasks: 1 });
    await cluster.submit({ id: "first" });
    await cluster.submit({ id: "patient", priority: 1 });
    await cluster.pass(75_000);
    await cluster.submit({ id: "urgent", priority: 8 });
    good(cluster.complete("first", "a", 1, "done"));
    expect(cluster.task("patient").status).toBe("assigned");
  });

  it("do not hold up tasks of the same type that an agent can take", async () => {
    const cluster = new ScriptedCluster();
    for (let index = 0; index < 1200; index++) {
      await cluster.submit({ id: `choosy-${index}`, required_labels: { gpu: "yes" } });
    }
    await cluster.submit({ id: "easy" });
    await cluster.register("a");
    await cluster.pass(2000);
    expect(cluster.task("easy")).toMatchObject({ status: "assigned", assigned_to: "a" });
    expect(cluster.task("choosy-0").status).toBe("pending");
  });
});

describe("a task without progress", () => {
  it.each([
    ["start_timeout_seconds", "did not start in time"],
    ["timeout_seconds", "did not finish in time"],
    ["progress_timeout_seconds", "reported no progress in time"],
  ] as const)("loses its holder after %s, and the holder stays active", async (setting, words) => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t", [setting]: 2 });
    if (setting !== "start_timeout_seconds") good(cluster.start("t", "a", 1));
    await cluster.register("b");
    await cluster.pass(1800);
    expect(cluster.task("t").attempt).toBe(1);
    await cluster.pass(500);
    expect(cluster.task("t")).toMatchObject({
      status: "assigned",
      assigned_to: "b",
      attempt: 2,
      reassignment_count: 1,
    });
    expect(cluster.failures()).toMatchObject([{ failure_type: "task_timeout", agent_id: "a" }]);
    expect(cluster.failures()[0]?.message).toContain(words);
    expect(cluster.decisions("t").at(-1)?.reason).toBe("task_timed_out");
    expect(good(cluster.cluster.coordinator.serve((service) => service.queries.agent("a"))).status).toBe(
      "active",
    );
  });

  it("keeps its holder as long as the holder reports progress", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t", progress_timeout_seconds: 2 });
    for (let step = 1; step <= 5; step++) {
      good(cluster.progress("t", "a", 1, step / 10));
      await cluster.pass(1500);
    }
    expect(cluster.task("t")).toMatchObject({ status: "running", attempt: 1, progress: 0.5 });
  });

  it("gets its whole timeout again after an outage of the coordinator", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t", timeout_seconds: 5 });
    good(cluster.start("t", "a", 1));
    await cluster.pass(4000);
    cluster.cluster.kill();
    cluster.silence("a");
    await cluster.pass(3000);
    cluster.cluster.start();
    await cluster.pass(4500);
    expect(cluster.failures().filter(({ failure_type }) => failure_type === "task_timeout")).toEqual([]);
    expect(cluster.eventTypes()).toContain("coordinator.paused");
  });
});

describe("a task that fails", () => {
  it("is retried after 1 s, then 2 s, by another agent if there is one", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    await cluster.register("b");
    good(cluster.fail("t", "a", 1));
    expect(cluster.task("t")).toMatchObject({
      status: "pending",
      reassignment_count: 1,
      error: { message: "it broke" },
    });
    await cluster.pass(900);
    expect(cluster.task("t").status).toBe("pending");
    await cluster.pass(200);
    expect(cluster.task("t")).toMatchObject({ status: "assigned", assigned_to: "b", attempt: 2 });
    good(cluster.fail("t", "b", 2));
    await cluster.pass(1900);
    expect(cluster.task("t").status).toBe("pending");
    await cluster.pass(200);
    expect(cluster.task("t")).toMatchObject({ status: "assigned", attempt: 3 });
  });

  it("gives a repeated report the same answer, and counts it once", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    good(cluster.fail("t", "a", 1));
    const repeated = good(cluster.fail("t", "a", 1));
    expect(repeated).toEqual(cluster.task("t"));
    expect(cluster.failures()).toHaveLength(1);
    expect(repeated.reassignment_count).toBe(1);
  });

  it("does not show the result of a later holder to an agent that repeats an old report", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    await cluster.register("b");
    good(cluster.fail("t", "a", 1));
    await cluster.pass(1100);
    good(cluster.complete("t", "b", 2, "for the producer alone"));
    expect(good(cluster.fail("t", "a", 1))).toMatchObject({ status: "completed", result: null });
  });

  it("is failed at once if it is not retryable, and can be retried by an operator", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    good(cluster.fail("t", "a", 1, false));
    expect(cluster.task("t")).toMatchObject({ status: "failed", error: { retryable: false } });
    good(cluster.cluster.coordinator.serve((service) => service.retry("t")));
    expect(cluster.task("t")).toMatchObject({
      status: "assigned",
      attempt: 2,
      reassignment_count: 0,
      previous_agents: [],
    });
  });

  it("is failed for good after max_reassignment_attempts, and the failure is recorded", async () => {
    const cluster = new ScriptedCluster({ failover_config: { max_reassignment_attempts: 2 } });
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    for (let attempt = 1; attempt <= 3; attempt++) {
      await cluster.pass(10_000);
      good(cluster.fail("t", "a", attempt));
    }
    expect(cluster.task("t")).toMatchObject({ status: "failed", attempt: 3 });
    expect(cluster.failures()[0]).toMatchObject({
      failure_type: "max_reassignments_exceeded",
      severity: "error",
    });
  });

  it("loses one step of priority at each move unless preserve_task_priority is set", async () => {
    const cluster = new ScriptedCluster({ failover_config: { preserve_task_priority: false } });
    await cluster.register("a");
    await cluster.submit({ id: "t", priority: 7 });
    good(cluster.fail("t", "a", 1));
    expect(cluster.task("t").priority).toBe(6);
  });
});

describe("a result", () => {
  it("of an agent that was declared failed counts while no other agent has the task", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    good(cluster.start("t", "a", 1));
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    expect(cluster.task("t").status).toBe("pending");
    expect(good(cluster.complete("t", "a", 1, "late but good"))).toMatchObject({
      status: "completed",
      result: "late but good",
    });
  });

  it("of an old attempt changes nothing once the task has moved", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    await cluster.submit({ id: "t" });
    await cluster.register("b");
    cluster.silence("a");
    await cluster.pass(NOTICED_MS);
    good(cluster.complete("t", "b", 2, "the one"));
    expect(cluster.complete("t", "a", 1, "the other")).toMatchObject({
      ok: false,
      problem: {
        code: "stale_attempt",
        evidence: { attempt: 2, assigned_to: "b", task_status: "completed" },
      },
    });
    expect(cluster.task("t").result).toBe("the one");
  });
});

describe("a task id that is reused after its first task was dropped", () => {
  it("is safe from a report of the first task's holder", async () => {
    const cluster = new ScriptedCluster({ task_config: { retention_seconds: 60 } });
    await cluster.register("a");
    const zombie = agentPrincipal("a", cluster.incarnationOf("a"));
    await cluster.submit({ id: "t" });
    good(cluster.complete("t", "a", 1, "the first"));
    await cluster.pass(70_000);
    await cluster.register("a");
    expect((await cluster.submit({ id: "t" })).attempt).toBe(1);
    const late = cluster.cluster.coordinator.serve((service) =>
      service.complete("t", { agent_id: "a", attempt: 1, result: "late" }, zombie),
    );
    expect(late).toMatchObject({ ok: false, problem: { code: "stale_attempt" } });
    expect(cluster.task("t").status).toBe("assigned");
  });
});

describe("a change of the configuration", () => {
  it("has reached the groups when it is answered", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    const answer = cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ lock_config: { max_ttl_seconds: 40, default_ttl_seconds: 20 } }, null),
    );
    await cluster.pass(100);
    expect(good(await answer).pendingGroups).toEqual([]);
    const group = cluster.cluster.group("default");
    const tooLong = group.serve((service) =>
      service.locks.acquire("x", { agent_id: "a", ttl_seconds: 41 }, ADMIN),
    );
    expect(tooLong).toMatchObject({ ok: false, problem: { code: "invalid_request" } });
    expect(
      granted(group.serve((service) => service.locks.acquire("x", { agent_id: "a" }, ADMIN))).ttl_seconds,
    ).toBe(20);
  });

  it("is answered with the groups that do not have it yet", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    cluster.world.network = { latencyMs: [1, 2], lost: 1, answerLost: 0, doubled: 0 };
    const answer = cluster.cluster.coordinator.serve((service) =>
      service.config.patch({ lock_config: { lock_delay_seconds: 1 } }, null),
    );
    await cluster.pass(6000);
    expect(good(await answer).pendingGroups).toEqual(["default"]);
  });
});
