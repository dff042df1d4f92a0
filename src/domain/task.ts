/** A task as the coordinator keeps it. Times in milliseconds since the epoch. */
import type { LateResultPolicy, TaskStatus } from "../contract/task.ts";

/** Any JSON value, as it came in. */
export type Json = unknown;

export type TaskRecord = {
  readonly id: string;
  /** Of what was submitted: the same id with another fingerprint is another task. */
  readonly fingerprint: string;
  readonly type: string;
  readonly priority: number;
  readonly data: Json;
  readonly status: TaskStatus;
  /** Whom the attempt was given to; kept while the task waits for its next holder. */
  readonly holder: string | null;
  /** The last one; of a completed task the one that did it. Grows by one at each assignment, for ever. 0 before the first. */
  readonly attempt: number;
  readonly reassignmentCount: number;
  readonly previousAgents: readonly string[];
  readonly backups: readonly string[];
  /** The backups were named by hand: then the list is left as it is. */
  readonly hasOwnBackups: boolean;
  readonly group: string | null;
  readonly requiredLabels: Readonly<Record<string, string>>;
  readonly timeoutMs: number | null;
  readonly progressTimeoutMs: number | null;
  readonly startTimeoutMs: number | null;
  readonly lateResultPolicy: LateResultPolicy;
  /** Late results that are kept. */
  readonly lateResultCount: number;
  readonly progress: number | null;
  readonly result: Json;
  readonly error: { readonly message: string; readonly retryable: boolean } | null;
  readonly pendingReason: string | null;
  readonly createdAtMs: number;
  readonly assignedAtMs: number | null;
  readonly startedAtMs: number | null;
  /** The last report of progress, or the start. */
  readonly progressAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** When the current attempt runs out of time, see task-deadline. */
  readonly deadlineAtMs: number | null;
  /** When the current attempt's deadlines were last credited for a pause of ours; 0 if never. */
  readonly extendedAtMs: number;
  /** Credits given to the current attempt, see liveness. */
  readonly extensions: number;
  /** Pending: not to be placed before this instant. */
  readonly notBeforeMs: number | null;
  /** Failures reported by holders since the submission or the last `retry`: what the back-off doubles by. */
  readonly failureCount: number;
  /** Decisions on record. */
  readonly decisionCount: number;
};

export function isHeld(status: TaskStatus): boolean {
  return status === "assigned" || status === "running";
}

export function isFinished(status: TaskStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/**
 * The order of waiting tasks as one number that never changes while a task waits, lowest
 * first: by priority, then by age, one step of priority gained per `agingMs` of waiting.
 */
export function urgencyOf(priority: number, createdAtMs: number, agingMs: number): number {
  return createdAtMs - priority * agingMs;
}
