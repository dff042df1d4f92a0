/**
 * The life cycle of a task. Pure: each step returns the next record.
 *
 *   pending --assigned--> assigned --started--> running --completed--> completed
 *      ^  '-------resumed----|------------------->|
 *      |<----madePending-----+--------------------+---failed--> failed --retried--> pending
 *      '--- any unfinished task --cancelled--> cancelled
 *
 *   any unfinished or failed task --completedLate--> completed
 *
 * Only `retried`, and `completedLate` of a failed task, leave a terminal state. Each assignment is a new attempt. Whether
 * a report counts depends on its attempt, not on the status of the agent. A completed task has the attempt that
 * completed it.
 */

import { taskDeadline } from "./deadlines.ts";
import { MAX_EXTENSIONS } from "./liveness.ts";
import type { TaskRecord } from "./task.ts";
import { isFinished, isHeld } from "./task.ts";

/** Previous holders that are stored, and avoided, at most: the latest. */
const PREVIOUS_AGENTS_LIMIT = 32;

function withDeadline(task: TaskRecord): TaskRecord {
  return { ...task, deadlineAtMs: taskDeadline(task)?.atMs ?? null };
}

export function assigned(task: TaskRecord, agentId: string, nowMs: number): TaskRecord {
  return withDeadline({
    ...task,
    status: "assigned",
    holder: agentId,
    attempt: task.attempt + 1,
    progress: null,
    pendingReason: null,
    notBeforeMs: null,
    queuedAtMs: null,
    assignedAtMs: nowMs,
    startedAtMs: null,
    progressAtMs: null,
    extendedAtMs: 0,
    extensions: 0,
  });
}

export function started(task: TaskRecord, nowMs: number): TaskRecord {
  if (task.status !== "assigned") return task;
  return withDeadline({ ...task, status: "running", startedAtMs: nowMs, progressAtMs: nowMs });
}

export function progressed(task: TaskRecord, progress: number, nowMs: number): TaskRecord {
  return withDeadline({ ...started(task, nowMs), progress, progressAtMs: nowMs });
}

/** After our own outage, see liveness.ts. */
export function extendedTask(task: TaskRecord, nowMs: number): TaskRecord {
  if (task.extensions >= MAX_EXTENSIONS) return task;
  return withDeadline({
    ...task,
    extendedAtMs: Math.max(task.extendedAtMs, nowMs),
    extensions: task.extensions + 1,
  });
}

/** The task was taken from its holder, or was never placed: it waits for an agent. */
export function madePending(task: TaskRecord, reason: string, notBeforeMs: number | null): TaskRecord {
  return {
    ...task,
    status: "pending",
    pendingReason: reason,
    notBeforeMs,
    queuedAtMs: null,
    progress: null,
    assignedAtMs: null,
    startedAtMs: null,
    progressAtMs: null,
    deadlineAtMs: null,
  };
}

/** The task when its attempt was assigned, as far as that is stored. */
export type StoredAttempt = {
  assignedAtMs: number;
  priority: number | null;
  reassignmentCount: number | null;
};

/**
 * The last holder was declared failed and is back: the task goes on under the same attempt, and the counts of the loss
 * are undone. How much of its time-outs had passed is not stored, so each starts anew.
 */
export function resumed(task: TaskRecord, attempt: StoredAttempt, nowMs: number): TaskRecord {
  return withDeadline({
    ...task,
    status: "running",
    priority: attempt.priority ?? task.priority,
    // A retry has reset the count meanwhile.
    reassignmentCount: Math.min(task.reassignmentCount, attempt.reassignmentCount ?? task.reassignmentCount),
    previousAgents: task.previousAgents.filter((id) => id !== task.holder),
    pendingReason: null,
    notBeforeMs: null,
    queuedAtMs: null,
    assignedAtMs: attempt.assignedAtMs,
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

/** A failed task is retried by hand: its counts start anew, the attempt number keeps growing. */
export function retried(task: TaskRecord): TaskRecord {
  return {
    ...madePending(task, "retried by hand", null),
    reassignmentCount: 0,
    previousAgents: [],
    failureCount: 0,
    error: null,
    finishedAtMs: null,
  };
}

/** The holder failed, failed the task or was too slow: that counts as a reassignment, and the holder is avoided. */
export function lost(task: TaskRecord, preservesPriority: boolean): TaskRecord {
  return {
    ...avoidingHolder(task),
    reassignmentCount: task.reassignmentCount + 1,
    priority: preservesPriority ? task.priority : Math.max(0, task.priority - 1),
  };
}

/** The holder gave the task back without a failure: the holder is avoided, and nothing is counted. */
export function avoidingHolder(task: TaskRecord): TaskRecord {
  const others = task.previousAgents.filter((id) => id !== task.holder);
  return task.holder === null
    ? task
    : { ...task, previousAgents: [...others, task.holder].slice(-PREVIOUS_AGENTS_LIMIT) };
}

function finished(task: TaskRecord, nowMs: number): TaskRecord {
  const nothingToWaitFor = { deadlineAtMs: null, notBeforeMs: null, queuedAtMs: null, pendingReason: null };
  return { ...task, ...nothingToWaitFor, finishedAtMs: nowMs };
}

/**
 * The state of the attempt that a report names.
 * - `current`: the reporting agent holds the task under this attempt.
 * - `last`: the attempt has ended and no other followed: a result still counts.
 * - `settled`: this attempt finished the task.
 * - `stale`: there is a newer attempt, or the attempt is another agent's.
 */
export type AttemptState = "current" | "last" | "settled" | "stale";

export function attemptStateOf(task: TaskRecord, agentId: string, attempt: number): AttemptState {
  if (task.attempt !== attempt || task.holder !== agentId) return "stale";
  if (isHeld(task.status)) return "current";
  return isFinished(task.status) ? "settled" : "last";
}
