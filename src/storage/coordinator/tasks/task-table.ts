/** The columns of a task, and its position in the order of urgency. */
import { isHeld, type TaskRecord, urgencyOf } from "../../../domain/task.ts";
import { flag, json, nullableJson, type Row, Table } from "../../table.ts";

/** A position in the order of urgency; the number tells equals apart. */
export type QueuePosition = { urgency: number; number: number };

export type QueuedTask = { task: TaskRecord; position: QueuePosition };

/** The context is the aging in milliseconds, see urgencyOf. */
export const TASKS = new Table<TaskRecord, number>("tasks", {
  key: ["id"],
  fixed: [
    "fingerprint",
    "type",
    "data",
    "group",
    "requiredLabels",
    "timeoutMs",
    "progressTimeoutMs",
    "startTimeoutMs",
    "lateResultPolicy",
    "createdAtMs",
  ],
  columns: {
    id: "id",
    fingerprint: "fingerprint",
    type: "type",
    priority: "priority",
    data: json("data"),
    status: "status",
    holder: "holder",
    attempt: "attempt",
    reassignmentCount: "reassignment_count",
    previousAgents: json("previous_agents"),
    backups: json("backups"),
    hasOwnBackups: flag("has_own_backups"),
    group: "group_id",
    requiredLabels: json("required_labels"),
    timeoutMs: "timeout_ms",
    progressTimeoutMs: "progress_timeout_ms",
    startTimeoutMs: "start_timeout_ms",
    lateResultPolicy: "late_result_policy",
    lateResultCount: "late_result_count",
    progress: "progress",
    result: json("result"),
    error: nullableJson("error"),
    pendingReason: "pending_reason",
    createdAtMs: "created_at",
    assignedAtMs: "assigned_at",
    startedAtMs: "started_at",
    progressAtMs: "progress_at",
    finishedAtMs: "finished_at",
    deadlineAtMs: "deadline_at",
    extendedAtMs: "extended_at",
    extensions: "extensions",
    notBeforeMs: "not_before",
    failureCount: "failure_count",
    decisionCount: "decision_count",
    queuedAtMs: "queued_at",
  },
  computed: {
    urgency: ({ priority, createdAtMs }, agingMs) => urgencyOf(priority, createdAtMs, agingMs),
    is_held: ({ status }) => (isHeld(status) ? 1 : 0),
  },
});

/** A task's columns with its position. */
export const QUEUED_COLUMNS = `number, urgency, ${TASKS.columns}`;
export type QueuedRow = Row & QueuePosition;

export function queuedTask({ urgency, number, ...row }: QueuedRow): QueuedTask {
  return { task: TASKS.read(row), position: { urgency, number } };
}

/** The bindings of a condition `(urgency, number) > (?, ?)`. */
export function behind(position: QueuePosition | null): [number, number] {
  return position === null ? [-Number.MAX_VALUE, 0] : [position.urgency, position.number];
}
