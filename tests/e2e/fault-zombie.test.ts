/**
 * Agents that are declared failed and run again: a process that was stopped for longer than its timeout and then
 * continues,
 * and one that its supervisor has replaced meanwhile. Neither can change anything.
 */
import { afterEach, expect, it } from "vitest";
import type { Failure } from "../../src/contract/failure.ts";
import type { Lock } from "../../src/contract/lock.ts";
import type { Decision } from "../../src/contract/placement/decision.ts";
import type { Task } from "../../src/contract/task.ts";
import { AgentProcess, expectNoAgentLeft, registerIdleAgent } from "../support/agent-process.ts";
import type { AgentReport } from "../support/agent-program.ts";
import { ClusterClient } from "../support/cluster-client.ts";
import { startServer } from "../support/server.ts";

afterEach(expectNoAgentLeft);

const LOCK = "the only printer";
const LOCK_PATH = `/groups/default/locks/${encodeURIComponent(LOCK)}`;

it("refuses every call of a process that was stopped past its timeout, and the new holder's result stays", async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "zombie");
  await using follower = cluster.follow();
  await using zombie = await AgentProcess.start(cluster, { id: "zombie", lock: LOCK, takesUpTasks: true });
  const { fencingToken } = await zombie.said("locked");
  for (const id of ["finished", "unfinished"]) {
    await cluster.ask("POST", "/tasks", { id, type: "work" });
    await zombie.said("started", ({ taskId }) => taskId === id);
  }
  const token = await registerIdleAgent(cluster, "heir");

  zombie.signal("SIGSTOP");
  const { event } = await follower.event("failure.failed_over");
  const { failure } = await cluster.ask<{ failure: Failure }>("GET", `/failures/${event.subject}`);
  expect(failure).toMatchObject({ agent_id: "zombie", tasks_reassigned: 2, locks_released: [LOCK] });
  const complete = (id: string) =>
    cluster.ask(
      "POST",
      `/tasks/${id}/complete`,
      { agent_id: "heir", attempt: 2, result: { by: "heir" } },
      { token },
    );
  await complete("finished");
  const { lock } = await cluster.ask<{ lock: Lock }>(
    "POST",
    `${LOCK_PATH}/acquire`,
    { agent_id: "heir" },
    { token },
  );
  expect(lock.fencing_token).toBeGreaterThan(fencingToken);

  // Waits until the process continues: it finishes its task first.
  zombie.signal("SIGUSR2");
  zombie.signal("SIGCONT");
  await zombie.said("answered", ({ call }) => call === "release");
  await zombie.said("answered", ({ call }) => call === "heartbeat");
  const answers = zombie.reports("answered");
  expect(answersTo(answers, "complete")).toEqual(["409 stale_attempt", "409 stale_attempt"]);
  expect(answersTo(answers, "release")).toEqual(["409 stale_fencing_token"]);
  expect(answersTo(answers, "heartbeat")).toEqual(["410 session_expired"]);
  await zombie.said("registered", ({ incarnation }) => incarnation > 1);

  expect(await taskIn(cluster, "unfinished")).toMatchObject({
    assigned_to: "heir",
    attempt: 2,
    result: null,
  });
  await complete("unfinished");
  for (const id of ["finished", "unfinished"]) {
    expect(await taskIn(cluster, id)).toMatchObject({
      status: "completed",
      attempt: 2,
      result: { by: "heir" },
    });
  }
  const held = await cluster.ask<{ lock: Lock }>("GET", LOCK_PATH);
  expect(held.lock).toMatchObject({ holder: "heir", fencing_token: lock.fencing_token });
  console.log(`a zombie was told: ${answers.map(({ call, code }) => `${call} ${code}`).join(", ")}`);
});

it("gives the next process of an agent its tasks under new attempts, refuses the old one, and records both", async () => {
  await using server = await startServer();
  const cluster = new ClusterClient(server, "restarted");
  await using old = await AgentProcess.start(cluster, {
    id: "agent",
    lock: LOCK,
    takesUpTasks: true,
    comesBack: false,
  });
  const ids = ["first", "second"];
  for (const id of ids) {
    await cluster.ask("POST", "/tasks", { id, type: "work" });
    await old.said("started", ({ taskId }) => taskId === id);
  }
  // Another agent could do the tasks now, and does not get them.
  await registerIdleAgent(cluster, "idle");

  await using renewed = await AgentProcess.start(cluster, { id: "agent", takesUpTasks: true });
  for (const id of ids) {
    expect(await renewed.said("started", ({ taskId }) => taskId === id)).toMatchObject({ attempt: 2 });
  }
  await old.said("answered", ({ call, code }) => call === "heartbeat" && code === "session_expired");
  old.signal("SIGUSR2");
  await old.said("answered", ({ call }) => call === "release");
  expect(answersTo(old.reports("answered"), "complete")).toEqual(["409 stale_attempt", "409 stale_attempt"]);
  expect(answersTo(old.reports("answered"), "release")).toEqual(["409 stale_fencing_token"]);
  renewed.signal("SIGUSR2");
  for (const id of ids) await cluster.ask("GET", `/tasks/${id}?wait_seconds=10`);

  for (const id of ids) {
    expect(await taskIn(cluster, id)).toMatchObject({
      status: "completed",
      assigned_to: "agent",
      attempt: 2,
      reassignment_count: 1,
      result: { by: renewed.pid },
    });
    const decisions = await cluster.all<Decision>(`/tasks/${id}/decisions`);
    expect(decisions.map(({ reason }) => reason)).toEqual(["submitted", "agent_restarted"]);
  }
  expect(await cluster.all<Failure>("/failures")).toMatchObject([
    { agent_id: "agent", failure_type: "duplicate_agent_id", tasks_reassigned: ids.length },
  ]);
  console.log(`an agent was replaced: its ${ids.length} tasks stayed with it under attempt 2`);
});

type Answered = Extract<AgentReport, { type: "answered" }>;

const answersTo = (answers: readonly Answered[], call: Answered["call"]) =>
  answers.filter((answer) => answer.call === call).map(({ status, code }) => `${status} ${code}`);

async function taskIn(cluster: ClusterClient, id: string): Promise<Task> {
  const { task } = await cluster.ask<{ task: Task }>("GET", `/tasks/${id}`);
  return task;
}
