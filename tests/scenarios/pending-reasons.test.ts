/** Why a pending task waits: computed from the agents and the queue as they are when the task is read. */
import { expect, it } from "vitest";
import { ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

it("changes with the agents, without a change of the task", async () => {
  const cluster = new ScriptedCluster();
  await cluster.submit({ id: "t" });
  expect(cluster.task("t")).toMatchObject({
    pending_code: "no_agent",
    pending_reason: "no agent is registered",
  });

  await cluster.register("a", { capabilities: ["translate"] });
  expect(cluster.task("t")).toMatchObject({
    pending_code: "no_capability",
    pending_reason: "no live agent can do resize: 1 without the capability",
  });

  await cluster.register("b", { capabilities: ["resize"], max_concurrent_tasks: 1 });
  expect(cluster.task("t")).toMatchObject({ status: "assigned", pending_code: null, pending_reason: null });
});

it("says how many tasks of the same type come first", async () => {
  const cluster = new ScriptedCluster();
  await cluster.register("a", { capabilities: ["resize"], max_concurrent_tasks: 1 });
  for (const id of ["held", "first", "second"]) await cluster.submit({ id });
  await cluster.submit({ id: "urgent", priority: 9 });

  const reasons = Object.fromEntries(
    cluster.tasks({ status: "pending" }).map((task) => [task.id, task.pending_reason]),
  );
  expect(reasons).toEqual({
    urgent: "first of its type in the queue; no free slot: 1 at capacity",
    first: "queued behind 1 of its type; no free slot: 1 at capacity",
    second: "queued behind 2 of its type; no free slot: 1 at capacity",
  });
  expect(cluster.task("second")).toMatchObject({
    pending_code: "at_capacity",
    pending_reason: reasons.second,
    pending_until: null,
  });
});
