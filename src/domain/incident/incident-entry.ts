/**
 * One agent or one task that failed, as an entry of an incident. Pure. Times are milliseconds since the epoch.
 *
 *   failed --returned, unregistered, settled or served--> recovered
 *     ^                                              '
 *     '-------------- fails again -------------------'
 *
 * An entry that failed often is flapping: its return counts only after it stayed up for a while.
 */
import { type Failure, mostSevere, type Severity } from "../../contract/failure.ts";
import { type ENTRY_ENDINGS, TASKS_NAMED, type TaskMove } from "../../contract/incident.ts";

/**
 * What a failure is about: a task, the queue of a type of task, or the tasks that another failure left without an agent.
 * Otherwise it is the agent.
 */
export type FailureSubject =
  | { readonly taskId: string }
  | { readonly queueOf: string; readonly stranded: readonly string[]; readonly taskCount: number }
  | { readonly causedBy: string; readonly stranded: readonly string[]; readonly taskCount: number };

export type EntryEnding = (typeof ENTRY_ENDINGS)[number];

export type EntryRecord = {
  /** `agent/ID`, `task/ID` for a failure of a task, or `queue/TYPE` for tasks that wait. */
  readonly key: string;
  readonly agentId: string | null;
  readonly taskId: string | null;
  readonly group: string | null;
  /** The latest failure. */
  readonly failureId: string;
  readonly failureType: string;
  readonly severity: Severity;
  readonly message: string;
  readonly failures: number;
  readonly failedAtMs: number;
  readonly lastFailedAtMs: number;
  /** RFC 3339, or null if it is not known. */
  readonly lastSignAt: string | null;
  readonly endedAtMs: number | null;
  readonly endedBy: EntryEnding | null;
  readonly tasksReassigned: number;
  readonly tasksPending: number;
  readonly tasksFailed: number;
  readonly locksReleased: number;
  readonly moved: readonly TaskMove[];
  readonly stranded: readonly string[];
};

/** Failures of one entry within an incident that make it flapping: two can be chance. */
const FLAPPING_FAILURES = 3;

/** The longest message kept in an entry; the failure's record has all of it. */
const MESSAGE_CHARACTERS = 500;

/** The key of the entry that a failure belongs to. */
export function entryKey(failure: Failure, about: FailureSubject | undefined): string {
  if (about !== undefined && "taskId" in about) return taskKey(about.taskId);
  if (about !== undefined && "queueOf" in about) return queueKey(about.queueOf);
  return failure.agent_id === null ? `failure/${failure.id}` : agentKey(failure.agent_id);
}

export const agentKey = (agentId: string) => `agent/${agentId}`;
export const taskKey = (taskId: string) => `task/${taskId}`;
export const queueKey = (taskType: string) => `queue/${taskType}`;

export function entryOf(failure: Failure, about: FailureSubject | undefined, atMs: number): EntryRecord {
  const stranding = about !== undefined && "stranded" in about ? about : null;
  return {
    key: entryKey(failure, about),
    agentId: failure.agent_id,
    taskId: about !== undefined && "taskId" in about ? about.taskId : null,
    group: failure.group,
    failureId: failure.id,
    failureType: failure.failure_type,
    severity: failure.severity,
    message: failure.message.slice(0, MESSAGE_CHARACTERS),
    failures: 1,
    failedAtMs: atMs,
    lastFailedAtMs: atMs,
    lastSignAt: failure.agent?.last_heartbeat_at ?? null,
    endedAtMs: null,
    endedBy: null,
    tasksReassigned: 0,
    tasksPending: stranding?.taskCount ?? 0,
    tasksFailed: 0,
    locksReleased: failure.locks_released.length,
    moved: [],
    stranded: stranding?.stranded.slice(0, TASKS_NAMED) ?? [],
  };
}

/** The entry failed again: the latest failure is shown, the counts are added. */
export function failedAgain(entry: EntryRecord, failure: Failure, atMs: number): EntryRecord {
  return {
    ...entry,
    group: failure.group ?? entry.group,
    failureId: failure.id,
    failureType: failure.failure_type,
    severity: mostSevere(entry.severity, failure.severity),
    message: failure.message.slice(0, MESSAGE_CHARACTERS),
    failures: entry.failures + 1,
    lastFailedAtMs: atMs,
    lastSignAt: failure.agent?.last_heartbeat_at ?? entry.lastSignAt,
    endedAtMs: null,
    endedBy: null,
    locksReleased: entry.locksReleased + failure.locks_released.length,
  };
}

/** Its latest failure turned out to be another one. */
export function corrected(entry: EntryRecord, failure: Failure): EntryRecord {
  return {
    ...entry,
    failureType: failure.failure_type,
    severity: mostSevere(entry.severity, failure.severity),
    message: failure.message.slice(0, MESSAGE_CHARACTERS),
  };
}

/** The tasks of a failed agent that no agent could take. This is not another failure of the agent. */
export function withStranded(
  entry: EntryRecord,
  severity: Severity,
  taskIds: readonly string[],
): EntryRecord {
  return {
    ...entry,
    severity: mostSevere(entry.severity, severity),
    stranded: [...new Set([...entry.stranded, ...taskIds])].slice(-TASKS_NAMED),
  };
}

/** The failover is done, and its counts are final. */
export function withFailover(entry: EntryRecord, failure: Failure, moved: readonly TaskMove[]): EntryRecord {
  return {
    ...entry,
    tasksReassigned: entry.tasksReassigned + failure.tasks_reassigned,
    tasksPending: entry.tasksPending + failure.tasks_pending,
    tasksFailed: entry.tasksFailed + failure.tasks_failed,
    moved: [...entry.moved, ...moved].slice(-TASKS_NAMED),
  };
}

export function ended(entry: EntryRecord, by: EntryEnding, atMs: number): EntryRecord {
  return { ...entry, endedAtMs: Math.max(atMs, entry.lastFailedAtMs), endedBy: by };
}

/** Whether the entry failed so often that its next return does not count at once. */
export const isFlapping = (entry: EntryRecord) => entry.failures >= FLAPPING_FAILURES;

/** From when on the recovery counts; null while the entry has not recovered. */
export function recoveredFromMs(entry: EntryRecord, calmMs: number): number | null {
  if (entry.endedAtMs === null) return null;
  // An agent that unregistered does not fail again.
  return isFlapping(entry) && entry.endedBy === "returned" ? entry.endedAtMs + calmMs : entry.endedAtMs;
}

export function entryStatus(
  entry: EntryRecord,
  calmMs: number,
  nowMs: number,
): "failed" | "flapping" | "recovered" {
  const fromMs = recoveredFromMs(entry, calmMs);
  if (fromMs !== null && fromMs <= nowMs) return "recovered";
  return isFlapping(entry) ? "flapping" : "failed";
}
