/** The life of a task, as a walk over everything that can happen to one. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { taskDeadline } from "../../../src/domain/deadlines.ts";
import { isFinished, isHeld, type TaskRecord, urgencyOf } from "../../../src/domain/task.ts";
import {
  assigned,
  attemptStateOf,
  avoidingHolder,
  cancelled,
  completed,
  completedLate,
  extendedTask,
  failed,
  lost,
  madePending,
  progressed,
  resumed,
  retried,
  started,
} from "../../../src/domain/task-lifecycle.ts";
import { taskRecord } from "../../support/records.ts";

const NEW = taskRecord({ timeoutMs: 10_000, progressTimeoutMs: 3000, startTimeoutMs: 2000 });

/** The moves that are possible in the task's state; the coordinator makes no others. */
const MOVES: Record<string, (task: TaskRecord, nowMs: number) => TaskRecord> = {
  assign: (task, nowMs) => (isFinished(task.status) ? task : assigned(task, `agent-${nowMs % 3}`, nowMs)),
  begin: (task, nowMs) => (isHeld(task.status) ? started(task, nowMs) : task),
  progress: (task, nowMs) => (isHeld(task.status) ? progressed(task, 0.5, nowMs) : task),
  lose: (task) => (isHeld(task.status) ? madePending(lost(task, false), "its agent failed", null) : task),
  leave: (task) => (isHeld(task.status) ? madePending(avoidingHolder(task), "its agent left", null) : task),
  resume: (task, nowMs) =>
    task.status === "pending" && task.attempt > 0
      ? resumed(task, { assignedAtMs: nowMs, priority: 5, reassignmentCount: 0 }, nowMs)
      : task,
  extend: (task, nowMs) => (task.deadlineAtMs === null ? task : extendedTask(task, nowMs)),
  complete: (task, nowMs) => (isFinished(task.status) ? task : completed(task, "done", nowMs)),
  fail: (task, nowMs) =>
    isFinished(task.status) ? task : failed(task, { message: "", retryable: false }, nowMs),
  completeLate: (task, nowMs) =>
    task.attempt === 0 || task.status === "completed" || task.status === "cancelled"
      ? task
      : completedLate(
          task,
          { agentId: "late", attempt: 1 + (nowMs % task.attempt), assignedAtMs: nowMs, result: "done" },
          nowMs,
        ),
  cancel: (task, nowMs) => (isFinished(task.status) ? task : cancelled(task, nowMs)),
  retry: (task) => (task.status === "failed" ? retried(task) : task),
};

const walks = fc.array(fc.record({ move: fc.constantFrom(...Object.keys(MOVES)), afterMs: fc.nat(5000) }), {
  maxLength: 40,
});

function walk(
  moves: { move: string; afterMs: number }[],
  check: (before: TaskRecord, after: TaskRecord, move: string) => void,
): void {
  let nowMs = 1000;
  let task = NEW;
  for (const { move, afterMs } of moves) {
    nowMs += afterMs;
    const next = MOVES[move]?.(task, nowMs) ?? task;
    check(task, next, move);
    task = next;
  }
}

describe("a task", () => {
  it("has an attempt that no earlier assignment had, the next in number, and otherwise keeps it or ends with it", () => {
    fc.assert(
      fc.property(walks, (moves) => {
        let given = 0;
        walk(moves, (before, after, move) => {
          if (move === "assign" && after !== before) {
            given += 1;
            expect(after.attempt).toBe(given);
          } else if (after.attempt !== before.attempt) {
            // A late result: the attempt is the one that did the task, and no attempt follows.
            expect(after).toMatchObject({ status: "completed", holder: "late" });
            expect(after.attempt).toBeLessThan(before.attempt);
          }
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("leaves an end only by a retry or a late result, and has an end time exactly when it has ended", () => {
    fc.assert(
      fc.property(walks, (moves) => {
        walk(moves, (before, after) => {
          if (isFinished(before.status) && before.status !== after.status) {
            expect(before.status).toBe("failed");
            expect(["pending", "completed"]).toContain(after.status);
          }
          expect(after.finishedAtMs !== null).toBe(isFinished(after.status));
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("has a deadline only while it is held, and it is the one of its time-outs", () => {
    fc.assert(
      fc.property(walks, (moves) => {
        walk(moves, (_, after) => {
          expect(after.deadlineAtMs).toBe(isHeld(after.status) ? (taskDeadline(after)?.atMs ?? null) : null);
        });
      }),
      { numRuns: 1000 },
    );
  });

  it("avoids each earlier holder once, however often the holder had it", () => {
    fc.assert(
      fc.property(walks, (moves) => {
        walk(moves, (_, { previousAgents }) => {
          expect(new Set(previousAgents).size).toBe(previousAgents.length);
        });
      }),
    );
  });

  it("accepts reports of its current attempt, and of no other agent or attempt", () => {
    const held = started(assigned(NEW, "a", 1), 2);
    expect(attemptStateOf(held, "a", 1)).toBe("current");
    expect(attemptStateOf(held, "b", 1)).toBe("stale");
    expect(attemptStateOf(assigned(held, "a", 3), "a", 1)).toBe("stale");
    expect(attemptStateOf(madePending(lost(held, true), "", null), "a", 1)).toBe("last");
    expect(attemptStateOf(completed(held, null, 3), "a", 1)).toBe("settled");
  });

  it("that is given back is as it was when its attempt was assigned, in any way it was lost", () => {
    const given = assigned({ ...NEW, priority: 1, reassignmentCount: 2, previousAgents: ["b"] }, "a", 1);
    const asItWas = { ...given, assignedAtMs: 1 };
    const { priority, reassignmentCount, previousAgents, attempt, holder } = given;
    const kept = { priority, reassignmentCount, previousAgents, attempt, holder, assignedAtMs: 1 };
    for (const left of [lost(given, false), lost(given, true), avoidingHolder(given)]) {
      expect(resumed(madePending(left, "", null), asItWas, 5)).toMatchObject({ ...kept, status: "running" });
    }
    const anew = retried(failed(given, { message: "", retryable: true }, 3));
    expect(resumed(anew, asItWas, 5)).toMatchObject({
      priority: 1,
      reassignmentCount: 0,
      previousAgents: [],
    });
    const unknown = { assignedAtMs: 1, priority: null, reassignmentCount: null };
    expect(resumed(madePending(lost(given, false), "", null), unknown, 5)).toMatchObject({
      priority: 0,
      reassignmentCount: 3,
    });
  });

  it("has a place in the order of urgency that time alone never changes", () => {
    const urgent = urgencyOf(8, 100_000, 600_000);
    const patient = urgencyOf(3, 0, 600_000);
    expect(urgent).toBeLessThan(patient);
    // Five steps of priority are worth 50 minutes.
    expect(urgencyOf(8, 3_100_000, 600_000)).toBeGreaterThan(patient);
  });
});
