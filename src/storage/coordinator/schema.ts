/** Everything a coordinator stores. */
import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { POST_SCHEMA } from "../outbox.ts";

export const COORDINATOR_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...POST_SCHEMA,
    // Mirrored in memory: no index.
    `CREATE TABLE agents (
       id TEXT PRIMARY KEY, group_id TEXT NOT NULL, type TEXT NOT NULL, capabilities TEXT NOT NULL,
       endpoint TEXT, labels TEXT NOT NULL, max_concurrent_tasks INTEGER NOT NULL,
       heartbeat_interval_ms INTEGER NOT NULL, heartbeat_timeout_ms INTEGER NOT NULL, status TEXT NOT NULL,
       incarnation INTEGER NOT NULL, registered_at INTEGER NOT NULL, registered_by TEXT NOT NULL,
       last_heartbeat_at INTEGER, is_leaving INTEGER NOT NULL, cooldown_until INTEGER,
       failure_count INTEGER NOT NULL, tasks_completed INTEGER NOT NULL, tasks_failed INTEGER NOT NULL,
       task_ms_total INTEGER NOT NULL, load TEXT, track TEXT NOT NULL, experience TEXT NOT NULL
     ) WITHOUT ROWID`,
    // Groups that were ever used: whom a change of the configuration is told.
    "CREATE TABLE groups (id TEXT PRIMARY KEY) WITHOUT ROWID",

    `CREATE TABLE tasks (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
       type TEXT NOT NULL, priority INTEGER NOT NULL, data TEXT NOT NULL, status TEXT NOT NULL, holder TEXT,
       attempt INTEGER NOT NULL, reassignment_count INTEGER NOT NULL, previous_agents TEXT NOT NULL,
       backups TEXT NOT NULL, group_id TEXT, required_labels TEXT NOT NULL, timeout_ms INTEGER,
       progress_timeout_ms INTEGER, start_timeout_ms INTEGER, late_result_policy TEXT NOT NULL,
       progress REAL, result TEXT NOT NULL, error TEXT, pending_reason TEXT, created_at INTEGER NOT NULL,
       assigned_at INTEGER, started_at INTEGER, progress_at INTEGER, finished_at INTEGER, deadline_at INTEGER,
       credited_at INTEGER NOT NULL, credits INTEGER NOT NULL, not_before INTEGER,
       failure_count INTEGER NOT NULL, decision_count INTEGER NOT NULL,
       -- Set by hand: then the list keeps its order.
       has_own_backups INTEGER NOT NULL,
       -- Waiting order, lowest first; and 1 while an agent holds it. Kept apart so that a start touches no index.
       urgency REAL NOT NULL, is_held INTEGER NOT NULL)`,
    "CREATE INDEX tasks_held ON tasks (holder, urgency) WHERE is_held = 1",
    "CREATE INDEX tasks_waiting ON tasks (type, urgency) WHERE status = 'pending'",
    "CREATE INDEX tasks_backing_off ON tasks (not_before) WHERE not_before IS NOT NULL",
    "CREATE INDEX tasks_due ON tasks (deadline_at) WHERE deadline_at IS NOT NULL",
    "CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL",

    // Whom each attempt was given to, and how it ended.
    `CREATE TABLE attempts (
       task_id TEXT NOT NULL, attempt INTEGER NOT NULL, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL,
       assigned_at INTEGER NOT NULL, ended_at INTEGER, outcome TEXT,
       PRIMARY KEY (task_id, attempt)) WITHOUT ROWID`,
    `CREATE TABLE decisions (
       task_id TEXT NOT NULL, number INTEGER NOT NULL, decision TEXT NOT NULL,
       PRIMARY KEY (task_id, number)) WITHOUT ROWID`,

    // Failovers under way: a job a failed agent, worked off in slices.
    `CREATE TABLE failovers (
       failure_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL, reason TEXT NOT NULL,
       is_critical INTEGER NOT NULL, started_at INTEGER NOT NULL, tasks_reassigned INTEGER NOT NULL,
       tasks_pending INTEGER NOT NULL, tasks_failed INTEGER NOT NULL, stranded TEXT NOT NULL
     ) WITHOUT ROWID`,
    `CREATE TABLE failures (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, failure TEXT NOT NULL)`,
    "CREATE INDEX failures_by_time ON failures (at)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)",
  ],
  // Where the tasks of a failover went, for the people who are told of it.
  ["ALTER TABLE failovers ADD COLUMN moved TEXT NOT NULL DEFAULT '[]'"],
  [
    // Why an agent takes no new tasks, as JSON.
    "ALTER TABLE agents ADD COLUMN drain TEXT",
    // How far along its agent's tasks such a job has come that leaves some of them.
    "ALTER TABLE failovers ADD COLUMN after TEXT",
    "ALTER TABLE tasks ADD COLUMN late_result_count INTEGER NOT NULL DEFAULT 0",
    // Results that were refused because their attempt was over.
    `CREATE TABLE late_results (
       task_id TEXT NOT NULL, attempt INTEGER NOT NULL, agent_id TEXT NOT NULL, result TEXT NOT NULL,
       received_at INTEGER NOT NULL, PRIMARY KEY (task_id, attempt)) WITHOUT ROWID`,
  ],
  [
    // Of the task when the attempt was given, for a holder that is given it back; null of earlier ones.
    "ALTER TABLE attempts ADD COLUMN priority INTEGER",
    "ALTER TABLE attempts ADD COLUMN reassignment_count INTEGER",
  ],
];
