/** A task as the coordinator stores it. Times are milliseconds since the epoch. */
import type { LateResultPolicy, TaskStatus } from "../contract/task.ts";

/** Any JSON value, as it was submitted. */
export type Json = unknown;

/** What a task is submitted with. */
export type TaskContent = {
  readonly id: string;
  /** Of the submission: the same id with another fingerprint is another task. */
  readonly fingerprint: string;
  readonly type: string;
  readonly priority: number;
  readonly data: Json;
  readonly backups: readonly string[];
  /** The backups were named by hand: then the list stays as it is. */
  readonly hasOwnBackups: boolean;
  readonly group: string | null;
  readonly requiredLabels: Readonly<Record<string, string>>;
  readonly timeoutMs: number | null;
  readonly progressTimeoutMs: number | null;
  readonly startTimeoutMs: number | null;
  readonly lateResultPolicy: LateResultPolicy;
  readonly createdAtMs: number;
};

/** What happens to a task after its submission. */
export type TaskProgress = {
  readonly status: TaskStatus;
  /** The agent that the attempt was given to; kept while the task waits for its next holder. */
  readonly holder: string | null;
  /** The latest attempt; of a completed task the one that completed it. Grows by one at each assignment. 0 before the first. */
  readonly attempt: number;
  readonly reassignmentCount: number;
  readonly previousAgents: readonly string[];
  /** Late results that are stored. */
  readonly lateResultCount: number;
  readonly progress: number | null;
  readonly result: Json;
  readonly error: { readonly message: string; readonly retryable: boolean } | null;
  readonly pendingReason: string | null;
  readonly assignedAtMs: number | null;
  readonly startedAtMs: number | null;
  /** The last report of progress, or the start. */
  readonly progressAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** When the current attempt runs out of time, see deadlines.ts. */
  readonly deadlineAtMs: number | null;
  /** When the current attempt's deadlines were last extended after our own outage; 0 if never. */
  readonly extendedAtMs: number;
  /** Extensions of the current attempt, see liveness.ts. */
  readonly extensions: number;
  /** Pending: not to be placed before this instant. */
  readonly notBeforeMs: number | null;
  /** Pending: since when it waits for an agent; null while it backs off, and once a failure on record covers its wait. */
  readonly queuedAtMs: number | null;
  /** Failures reported by holders since the submission or the last `retry`; the back-off doubles with each. */
  readonly failureCount: number;
  /** Recorded decisions. */
  readonly decisionCount: number;
};

export type TaskRecord = TaskContent & TaskProgress;

const NOT_STARTED: TaskProgress = {
  status: "pending",
  holder: null,
  attempt: 0,
  reassignmentCount: 0,
  previousAgents: [],
  lateResultCount: 0,
  progress: null,
  result: null,
  error: null,
  pendingReason: null,
  assignedAtMs: null,
  startedAtMs: null,
  progressAtMs: null,
  finishedAtMs: null,
  deadlineAtMs: null,
  extendedAtMs: 0,
  extensions: 0,
  notBeforeMs: null,
  queuedAtMs: null,
  failureCount: 0,
  decisionCount: 0,
};

/** A task that was just submitted. */
export function newTask(content: TaskContent): TaskRecord {
  return { ...content, ...NOT_STARTED };
}

export function isHeld(status: TaskStatus): boolean {
  return status === "assigned" || status === "running";
}

export function isFinished(status: TaskStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/**
 * The order of pending tasks as one number, lowest first: by priority, then by age. A task gains one step of priority
 * per `agingMs` of waiting. The number does not change while the task waits.
 */
export function urgencyOf(priority: number, createdAtMs: number, agingMs: number): number {
  return createdAtMs - priority * agingMs;
}
