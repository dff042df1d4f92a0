/**
 * The life of a task. Pure: each step returns the next record and touches nothing.
 *
 *   pending --assigned--> assigned --begun--> running --completed--> completed
 *      ^  '-------resumed----|------------------>|
 *      |<------parked--------+-------------------+---failed--> failed --retried--> pending
 *      '--- any unfinished one --cancelled--> cancelled
 *
 *   any unfinished one, failed --completedLate--> completed
 *
 * Only `retried`, and `completedLate` of a failed one, leave a terminal state. Every assignment is a new attempt, and what
 * decides whether a report counts is the attempt, not the standing of who reports. A completed task is of the attempt
 * that completed it.
 */

import { taskDeadline } from "./deadlines.ts";
import { MAX_EXTENSIONS } from "./liveness.ts";
import type { TaskRecord } from "./task.ts";
import { isFinished, isHeld } from "./task.ts";

/** Earlier holders that are remembered, and avoided, at most. */
const PREVIOUS_AGENTS_LIMIT = 32;

function timed(task: TaskRecord): TaskRecord {
  return { ...task, deadlineAtMs: taskDeadline(task)?.atMs ?? null };
}

export function assigned(task: TaskRecord, agentId: string, nowMs: number): TaskRecord {
  return timed({
    ...task,
    status: "assigned",
    holder: agentId,
    attempt: task.attempt + 1,
    progress: null,
    pendingReason: null,
    notBeforeMs: null,
    assignedAtMs: nowMs,
    startedAtMs: null,
    progressAtMs: null,
    extendedAtMs: 0,
    extensions: 0,
  });
}

export function started(task: TaskRecord, nowMs: number): TaskRecord {
  if (task.status !== "assigned") return task;
  return timed({ ...task, status: "running", startedAtMs: nowMs, progressAtMs: nowMs });
}

export function progressed(task: TaskRecord, progress: number, nowMs: number): TaskRecord {
  return timed({ ...started(task, nowMs), progress, progressAtMs: nowMs });
}

/** After a pause of ours, see liveness. */
export function extendedTask(task: TaskRecord, nowMs: number): TaskRecord {
  if (task.extensions >= MAX_EXTENSIONS) return task;
  return timed({
    ...task,
    extendedAtMs: Math.max(task.extendedAtMs, nowMs),
    extensions: task.extensions + 1,
  });
}

/** Taken from its holder, or never placed: waits for an agent. */
export function madePending(task: TaskRecord, reason: string, notBeforeMs: number | null): TaskRecord {
  return {
    ...task,
    status: "pending",
    pendingReason: reason,
    notBeforeMs,
    progress: null,
    assignedAtMs: null,
    startedAtMs: null,
    progressAtMs: null,
    deadlineAtMs: null,
  };
}

/** The task when its attempt was given, as far as that is on record. */
export type GivenAttempt = {
  assignedAtMs: number;
  priority: number | null;
  reassignmentCount: number | null;
};

/**
 * Its last holder was thought gone and is not: it goes on under the same attempt, and what losing it had counted
 * is undone. How much of its time it had used is not on record, so it has all of it again.
 */
export function resumed(task: TaskRecord, given: GivenAttempt, nowMs: number): TaskRecord {
  return timed({
    ...task,
    status: "running",
    priority: given.priority ?? task.priority,
    // A retry has begun the count anew.
    reassignmentCount: Math.min(task.reassignmentCount, given.reassignmentCount ?? task.reassignmentCount),
    previousAgents: task.previousAgents.filter((id) => id !== task.holder),
    pendingReason: null,
    notBeforeMs: null,
    assignedAtMs: given.assignedAtMs,
    startedAtMs: nowMs,
    progressAtMs: nowMs,
    extendedAtMs: 0,
    extensions: 0,
  });
}

export function completed(task: TaskRecord, result: unknown, nowMs: number): TaskRecord {
  return finished({ ...task, status: "completed", result, error: null, progress: 1 }, nowMs);
}

/** A result of an attempt that had ended when the result came. */
export type LateCompletion = {
  readonly agentId: string;
  readonly attempt: number;
  readonly assignedAtMs: number | null;
  readonly result: unknown;
};

/**
 * Completed by the result of an attempt that had ended: from then on the task belongs to that attempt. A completed task
 * gets no further attempt, so no attempt number is given twice.
 */
export function completedLate(
  task: TaskRecord,
  { agentId, attempt, assignedAtMs, result }: LateCompletion,
  nowMs: number,
): TaskRecord {
  const done = completed(task, result, nowMs);
  if (attempt === task.attempt) return done;
  // When it started is not on record.
  return { ...done, holder: agentId, attempt, assignedAtMs, startedAtMs: null, progressAtMs: null };
}

export function failed(task: TaskRecord, error: NonNullable<TaskRecord["error"]>, nowMs: number): TaskRecord {
  return finished({ ...task, status: "failed", error }, nowMs);
}

export function cancelled(task: TaskRecord, nowMs: number): TaskRecord {
  return finished({ ...task, status: "cancelled" }, nowMs);
}

/** Back in line by hand: counts start anew, the attempt goes on growing. */
export function retried(task: TaskRecord): TaskRecord {
  return {
    ...madePending(task, "put back in line", null),
    reassignmentCount: 0,
    previousAgents: [],
    failureCount: 0,
    error: null,
    finishedAtMs: null,
  };
}

/** Its holder lost it by failing, by failing it or by being too slow: that counts, and the holder is avoided. */
export function lost(task: TaskRecord, preservesPriority: boolean): TaskRecord {
  return {
    ...avoidingHolder(task),
    reassignmentCount: task.reassignmentCount + 1,
    priority: preservesPriority ? task.priority : Math.max(0, task.priority - 1),
  };
}

/** Its holder let it go in good order: avoided, but not counted. */
export function avoidingHolder(task: TaskRecord): TaskRecord {
  const others = task.previousAgents.filter((id) => id !== task.holder);
  return task.holder === null
    ? task
    : { ...task, previousAgents: [...others, task.holder].slice(-PREVIOUS_AGENTS_LIMIT) };
}

function finished(task: TaskRecord, nowMs: number): TaskRecord {
  return { ...task, finishedAtMs: nowMs, deadlineAtMs: null, notBeforeMs: null, pendingReason: null };
}

/**
 * What a holder's report is worth.
 * - `current`: the attempt is held by whoever reports.
 * - `last`: the attempt is over and none followed it: a result still counts.
 * - `settled`: this very attempt finished the task.
 * - `stale`: a newer attempt, or another agent's.
 */
export type AttemptState = "current" | "last" | "settled" | "stale";

export function attemptStateOf(task: TaskRecord, agentId: string, attempt: number): AttemptState {
  if (task.attempt !== attempt || task.holder !== agentId) return "stale";
  if (isHeld(task.status)) return "current";
  return isFinished(task.status) ? "settled" : "last";
}
