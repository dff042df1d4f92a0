/** What is reported of one object, by its class. Instants are milliseconds since the epoch. */
import { AGENT_GROUP_MIGRATIONS } from "../../src/storage/agent-group/schema.ts";
import { COORDINATOR_MIGRATIONS } from "../../src/storage/coordinator/schema.ts";
import { NOTIFIER_MIGRATIONS } from "../../src/storage/notifier/schema.ts";
import type { Database } from "./database.ts";
import type { ClassName } from "./stored-objects.ts";

const DAY_MS = 86_400_000;
/** Held locks, dead letters and failures that are named; beyond these only their number is reported. */
const NAMED = 20;

export const KNOWN_MIGRATIONS: Record<ClassName, number> = {
  Coordinator: COORDINATOR_MIGRATIONS.length,
  AgentGroup: AGENT_GROUP_MIGRATIONS.length,
  Notifier: NOTIFIER_MIGRATIONS.length,
};

export type CommonReport = {
  schema_version: number;
  /** The version that this program knows. */
  known_schema_version: number;
  outbox: Record<string, number>;
  dead_letters: { receiver: string; number: number; type: string; reason: string }[];
  dead_letter_count: number;
};

export type CoordinatorReport = {
  config_version: number;
  groups: string[];
  agents: Record<string, number>;
  tasks: Record<string, number>;
  reassignment_jobs: number;
  next_task_deadline_at: number | null;
  next_retry_at: number | null;
  /** Of the last day, by type. */
  failures: Record<string, number>;
  last_event_id: number;
};

export type GroupReport = {
  agents: { live: number; suspect: number; draining: number; connected: number };
  /** As of the last flush of the signs of life, which is up to a second old while the server runs. */
  next_agent_deadline_at: number | null;
  locks: {
    resource: string;
    holder: string;
    incarnation: number;
    fencing_token: number;
    expires_at: number;
    waiters: number;
  }[];
  locks_held: number;
  lock_waiters: number;
  unread_messages: number;
};

export type NotifierReport = {
  open_incidents: number;
  notifications: Record<string, number>;
  next_try_at: number | null;
};

export function commonReport(database: Database, className: ClassName): CommonReport {
  return {
    schema_version: database.count("migrations"),
    known_schema_version: KNOWN_MIGRATIONS[className],
    outbox: database.counts("outbox", "receiver"),
    dead_letters: database.all(
      `SELECT receiver, number, coalesce(message ->> '$.type', 'unknown') AS type, reason FROM dead_letters
       ORDER BY number DESC LIMIT ?`,
      NAMED,
    ),
    dead_letter_count: database.count("dead_letters"),
  };
}

export function coordinatorReport(database: Database, nowMs: number): CoordinatorReport {
  const version = database.first<{ value: string }>("SELECT value FROM meta WHERE name = 'config_version'");
  const failures = database.all<{ type: string; count: number }>(
    "SELECT failure ->> '$.failure_type' AS type, count(*) AS count FROM failures WHERE at >= ? GROUP BY 1 ORDER BY 1",
    nowMs - DAY_MS,
  );
  return {
    config_version: Number(version?.value ?? 1),
    groups: database.all<{ id: string }>("SELECT id FROM groups ORDER BY id").map(({ id }) => id),
    agents: database.counts("agents", "status"),
    tasks: database.counts("tasks", "status"),
    reassignment_jobs: database.count("reassignment_jobs"),
    next_task_deadline_at: least(database, "tasks", "deadline_at"),
    next_retry_at: least(database, "tasks", "not_before"),
    failures: Object.fromEntries(failures.map(({ type, count }) => [type, count])),
    last_event_id: database.first<{ id: number | null }>("SELECT max(id) AS id FROM events")?.id ?? 0,
  };
}

export function groupReport(database: Database): GroupReport {
  const agents = database.first<GroupReport["agents"]>(
    `SELECT count(*) AS live, count(suspect_until) AS suspect, count(drain_mode) AS draining,
            count(connection) AS connected FROM sessions`,
  );
  return {
    agents: agents ?? { live: 0, suspect: 0, draining: 0, connected: 0 },
    next_agent_deadline_at: nextAgentDeadlineMs(database),
    locks: database.all(
      `SELECT resource, holder, incarnation, fencing_token, expires_at,
              (SELECT count(*) FROM lock_waiters WHERE lock_waiters.resource = locks.resource) AS waiters
       FROM locks WHERE holder IS NOT NULL ORDER BY resource LIMIT ?`,
      NAMED,
    ),
    locks_held: database.count("locks WHERE holder IS NOT NULL"),
    lock_waiters: database.count("lock_waiters"),
    unread_messages: database.count("messages WHERE agent_id IS NOT NULL"),
  };
}

export function notifierReport(database: Database): NotifierReport {
  return {
    open_incidents: database.count("incidents WHERE closed_at IS NULL"),
    notifications: database.counts("notifications", "state"),
    next_try_at: least(database, "notifications", "next_try_at"),
  };
}

function least(database: Database, table: string, column: string): number | null {
  return (
    database.first<{ least: number | null }>(`SELECT min(${column}) AS least FROM ${table}`)?.least ?? null
  );
}

/** The floats of one slot in `signs_of_life`: the last sign of life, the last extension, the number of extensions. */
const SLOT_FLOATS = 3;

function nextAgentDeadlineMs(database: Database): number | null {
  const row = database.first<{ slots: string }>("SELECT slots FROM signs_of_life");
  const bytes = Buffer.from(row?.slots ?? "", "base64");
  const floatAt = (index: number) => {
    const offset = index * Float64Array.BYTES_PER_ELEMENT;
    return offset + Float64Array.BYTES_PER_ELEMENT <= bytes.length ? bytes.readDoubleLE(offset) : 0;
  };
  const deadlines = database
    .all<SessionTimes>("SELECT slot, timeout_ms, registered_at, suspect_until FROM sessions")
    .map(({ slot, timeout_ms, registered_at, suspect_until }) => {
      const first = slot * SLOT_FLOATS;
      const silentSinceMs = Math.max(registered_at, floatAt(first), floatAt(first + 1));
      return Math.min(silentSinceMs + timeout_ms, suspect_until ?? Number.POSITIVE_INFINITY);
    });
  return deadlines.length === 0 ? null : Math.min(...deadlines);
}

type SessionTimes = { slot: number; timeout_ms: number; registered_at: number; suspect_until: number | null };
