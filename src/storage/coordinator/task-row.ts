/** A task's row, and the way from it to the record and back. */
import type { LateResultPolicy, TaskStatus } from "../../contract/task.ts";
import { isHeld, type TaskRecord, urgencyOf } from "../../domain/task.ts";

export type TaskRow = {
  number: number;
  id: string;
  fingerprint: string;
  type: string;
  priority: number;
  data: string;
  status: string;
  holder: string | null;
  attempt: number;
  reassignment_count: number;
  previous_agents: string;
  backups: string;
  group_id: string | null;
  required_labels: string;
  timeout_ms: number | null;
  progress_timeout_ms: number | null;
  start_timeout_ms: number | null;
  late_result_policy: string;
  progress: number | null;
  result: string;
  error: string | null;
  pending_reason: string | null;
  created_at: number;
  assigned_at: number | null;
  started_at: number | null;
  progress_at: number | null;
  finished_at: number | null;
  deadline_at: number | null;
  extended_at: number;
  extensions: number;
  not_before: number | null;
  failure_count: number;
  decision_count: number;
  has_own_backups: number;
  late_result_count: number;
};

/** The values of all that can change after the submission, in the order of the statements in tasks.ts. */
export function changing(task: TaskRecord, agingMs: number): (string | number | null)[] {
  return [
    task.priority,
    task.status,
    task.holder,
    task.attempt,
    task.reassignmentCount,
    JSON.stringify(task.previousAgents),
    JSON.stringify(task.backups),
    task.progress,
    JSON.stringify(task.result ?? null),
    task.error === null ? null : JSON.stringify(task.error),
    task.pendingReason,
    task.assignedAtMs,
    task.startedAtMs,
    task.progressAtMs,
    task.finishedAtMs,
    task.deadlineAtMs,
    task.extendedAtMs,
    task.extensions,
    task.notBeforeMs,
    task.failureCount,
    task.decisionCount,
    task.hasOwnBackups ? 1 : 0,
    urgencyOf(task.priority, task.createdAtMs, agingMs),
    isHeld(task.status) ? 1 : 0,
    task.lateResultCount,
  ];
}

export function recordOf(row: TaskRow): TaskRecord {
  return {
    id: row.id,
    fingerprint: row.fingerprint,
    type: row.type,
    priority: row.priority,
    data: JSON.parse(row.data),
    status: row.status as TaskStatus,
    holder: row.holder,
    attempt: row.attempt,
    reassignmentCount: row.reassignment_count,
    previousAgents: JSON.parse(row.previous_agents) as string[],
    backups: JSON.parse(row.backups) as string[],
    group: row.group_id,
    requiredLabels: JSON.parse(row.required_labels) as Record<string, string>,
    timeoutMs: row.timeout_ms,
    progressTimeoutMs: row.progress_timeout_ms,
    startTimeoutMs: row.start_timeout_ms,
    lateResultCount: row.late_result_count,
    lateResultPolicy: row.late_result_policy as LateResultPolicy,
    progress: row.progress,
    result: JSON.parse(row.result),
    error: row.error === null ? null : (JSON.parse(row.error) as TaskRecord["error"]),
    pendingReason: row.pending_reason,
    createdAtMs: row.created_at,
    assignedAtMs: row.assigned_at,
    startedAtMs: row.started_at,
    progressAtMs: row.progress_at,
    finishedAtMs: row.finished_at,
    deadlineAtMs: row.deadline_at,
    extendedAtMs: row.extended_at,
    extensions: row.extensions,
    notBeforeMs: row.not_before,
    failureCount: row.failure_count,
    decisionCount: row.decision_count,
    hasOwnBackups: row.has_own_backups === 1,
  };
}
