/** The time-outs of a task. */
import { describe, expect, it } from "vitest";
import { earliest, taskDeadline } from "../../../src/domain/deadlines.ts";
import { assigned, extendedTask, progressed, started } from "../../../src/domain/task-lifecycle.ts";
import { taskRecord } from "../../support/records.ts";

const TASK = taskRecord({ startTimeoutMs: 100, timeoutMs: 1000, progressTimeoutMs: 300 });

describe("the deadline of a task", () => {
  it("is none while the task is pending, or has no time-out", () => {
    expect(taskDeadline(TASK)).toBeNull();
    expect(taskDeadline(started(assigned(taskRecord(), "a", 0), 0))).toBeNull();
  });

  it("is that of the start, then the earlier one of progress and the whole", () => {
    const given = assigned(TASK, "a", 50);
    expect(taskDeadline(given)).toEqual({ kind: "start_timeout", atMs: 150 });
    const running = started(given, 100);
    expect(taskDeadline(running)).toEqual({ kind: "progress_timeout", atMs: 400 });
    expect(taskDeadline(progressed(running, 0.5, 900))).toEqual({ kind: "timeout", atMs: 1100 });
  });

  it("counts from the end of an outage", () => {
    const running = started(assigned(TASK, "a", 0), 0);
    expect(taskDeadline(extendedTask(running, 5000))).toEqual({ kind: "progress_timeout", atMs: 5300 });
  });
});

describe("the earliest instant", () => {
  it("ignores those that are not set", () => {
    expect(earliest(null, 5, 3, null)).toBe(3);
    expect(earliest(null)).toBeNull();
    expect(earliest()).toBeNull();
  });
});
