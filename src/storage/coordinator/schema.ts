/** Everything a coordinator stores. */
import { COUNTER_SCHEMA } from "../counter.ts";
import { INBOX_SCHEMA } from "../inbox.ts";
import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { OUTBOX_SCHEMA } from "../outbox.ts";

export const COORDINATOR_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...COUNTER_SCHEMA,
    ...OUTBOX_SCHEMA,
    ...INBOX_SCHEMA,
    // Mirrored in memory: no index.
    `CREATE TABLE agents (
       id TEXT PRIMARY KEY, group_id TEXT NOT NULL, type TEXT NOT NULL, capabilities TEXT NOT NULL,
       endpoint TEXT, labels TEXT NOT NULL, max_concurrent_tasks INTEGER NOT NULL,
       heartbeat_interval_ms INTEGER NOT NULL, heartbeat_timeout_ms INTEGER NOT NULL, status TEXT NOT NULL,
       incarnation INTEGER NOT NULL, registered_at INTEGER NOT NULL, registered_by TEXT NOT NULL,
       last_heartbeat_at INTEGER, is_leaving INTEGER NOT NULL, cooldown_until INTEGER,
       failure_count INTEGER NOT NULL, tasks_completed INTEGER NOT NULL, tasks_failed INTEGER NOT NULL,
       task_ms_total INTEGER NOT NULL, load TEXT, reliability_history TEXT NOT NULL, performance TEXT NOT NULL,
       -- Why the agent takes no new tasks, as JSON.
       drain TEXT
     ) WITHOUT ROWID`,
    // Groups that were ever used: each is sent every change of the configuration.
    "CREATE TABLE groups (id TEXT PRIMARY KEY) WITHOUT ROWID",

    `CREATE TABLE tasks (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
       type TEXT NOT NULL, priority INTEGER NOT NULL, data TEXT NOT NULL, status TEXT NOT NULL, holder TEXT,
       attempt INTEGER NOT NULL, reassignment_count INTEGER NOT NULL, previous_agents TEXT NOT NULL,
       backups TEXT NOT NULL, group_id TEXT, required_labels TEXT NOT NULL, timeout_ms INTEGER,
       progress_timeout_ms INTEGER, start_timeout_ms INTEGER, late_result_policy TEXT NOT NULL,
       progress REAL, result TEXT NOT NULL, error TEXT, pending_reason TEXT, created_at INTEGER NOT NULL,
       assigned_at INTEGER, started_at INTEGER, progress_at INTEGER, finished_at INTEGER, deadline_at INTEGER,
       extended_at INTEGER NOT NULL, extensions INTEGER NOT NULL, not_before INTEGER,
       failure_count INTEGER NOT NULL, decision_count INTEGER NOT NULL,
       -- Set by hand: then the list keeps its order.
       has_own_backups INTEGER NOT NULL, late_result_count INTEGER NOT NULL,
       -- The order of the queue, lowest first; and 1 while an agent holds the task. Apart from each other, so that
       -- a start changes no index.
       urgency REAL NOT NULL, is_held INTEGER NOT NULL)`,
    "CREATE INDEX tasks_held ON tasks (holder, urgency) WHERE is_held = 1",
    "CREATE INDEX tasks_pending ON tasks (type, urgency) WHERE status = 'pending'",
    "CREATE INDEX tasks_backing_off ON tasks (not_before) WHERE not_before IS NOT NULL",
    "CREATE INDEX tasks_due ON tasks (deadline_at) WHERE deadline_at IS NOT NULL",
    "CREATE INDEX tasks_finished ON tasks (finished_at) WHERE finished_at IS NOT NULL",

    // The agent of each attempt, how the attempt ended, and the task's numbers when it was assigned, for a holder
    // that gets the same attempt again.
    `CREATE TABLE attempts (
       task_id TEXT NOT NULL, attempt INTEGER NOT NULL, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL,
       assigned_at INTEGER NOT NULL, ended_at INTEGER, outcome TEXT, priority INTEGER, reassignment_count INTEGER,
       PRIMARY KEY (task_id, attempt)) WITHOUT ROWID`,
    // Results that were refused because their attempt was no longer current.
    `CREATE TABLE late_results (
       task_id TEXT NOT NULL, attempt INTEGER NOT NULL, agent_id TEXT NOT NULL, result TEXT NOT NULL,
       received_at INTEGER NOT NULL, PRIMARY KEY (task_id, attempt)) WITHOUT ROWID`,
    `CREATE TABLE decisions (
       task_id TEXT NOT NULL, number INTEGER NOT NULL, decision TEXT NOT NULL,
       PRIMARY KEY (task_id, number)) WITHOUT ROWID`,

    // Agents whose tasks are being reassigned, slice by slice. `after` is the position that a job has reached
    // which leaves some tasks where they are.
    `CREATE TABLE reassignment_jobs (
       id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL, kind TEXT NOT NULL,
       is_critical INTEGER NOT NULL, started_at INTEGER NOT NULL, tasks_reassigned INTEGER NOT NULL,
       tasks_pending INTEGER NOT NULL, tasks_failed INTEGER NOT NULL, stranded TEXT NOT NULL, moved TEXT NOT NULL,
       after TEXT
     ) WITHOUT ROWID`,
    `CREATE TABLE failures (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, failure TEXT NOT NULL)`,
    "CREATE INDEX failures_by_time ON failures (at)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)",
  ],
  // 1: an agent that registered before this keeps its timeout until it registers again.
  ["ALTER TABLE agents ADD COLUMN has_own_timeout INTEGER NOT NULL DEFAULT 1"],
  [
    // The process of each agent, the incarnation of another process that it replaced, as JSON, and until when other
    // processes may not take the id.
    "ALTER TABLE agents ADD COLUMN instance TEXT",
    "ALTER TABLE agents ADD COLUMN replaced TEXT",
    "ALTER TABLE agents ADD COLUMN conflict_until INTEGER",
  ],
  [
    // Since when a pending task waits for an agent. Tasks that wait already are not warned of.
    "ALTER TABLE tasks ADD COLUMN queued_at INTEGER",
    "CREATE INDEX tasks_queued ON tasks (queued_at) WHERE status = 'pending' AND queued_at IS NOT NULL",
    "ALTER TABLE reassignment_jobs ADD COLUMN tasks_stranded INTEGER NOT NULL DEFAULT 0",
  ],
  // What changed in the configuration. Earlier changes are not known.
  ["CREATE TABLE config_revisions (number INTEGER PRIMARY KEY AUTOINCREMENT, revision TEXT NOT NULL)"],
];
