/** What the end of a task causes. */
import { describe, expect, it } from "vitest";
import { TaskEndings } from "../../../../../src/services/coordinator/tasks/task-endings.ts";
import { taskRecord } from "../../../../support/records.ts";

function newEndings() {
  const calls: unknown[] = [];
  const endings = new TaskEndings(
    {
      recordEvent: (event, atMs) => calls.push(["event", event, atMs]),
      announceEnd: (taskId) => calls.push(["wake", taskId]),
      reportSettled: (taskId) => calls.push(["settled", taskId]),
    },
    { fill: (agentId) => calls.push(["fill", agentId]) },
  );
  return { calls, endings };
}

describe("the end of a task", () => {
  it("is in the event log with holder and attempt, wakes waiting callers, and fills the holder's slot", () => {
    const { calls, endings } = newEndings();
    const task = taskRecord({ status: "completed", holder: "a", attempt: 2 });
    endings.announce(task, { type: "task.completed", data: { late: true } }, 7);
    expect(calls).toEqual([
      ["event", { type: "task.completed", subject: "t", data: { agent_id: "a", attempt: 2, late: true } }, 7],
      ["wake", "t"],
      ["fill", "a"],
    ]);
  });

  it.each([
    ["completed after a reassignment", { status: "completed", reassignmentCount: 1 }, true],
    ["cancelled after a reassignment", { status: "cancelled", reassignmentCount: 1 }, true],
    ["completed by its first holder", { status: "completed", reassignmentCount: 0 }, false],
    ["failed, and waits for a person", { status: "failed", reassignmentCount: 3 }, false],
  ] as const)("resolves the task's failures only if it is over: %s", (_, state, isSettled) => {
    const { calls, endings } = newEndings();
    endings.announce(taskRecord(state), { type: "task.completed" }, 0);
    expect(calls.some((call) => Array.isArray(call) && call[0] === "settled")).toBe(isSettled);
  });
});
