/** Everything a notifier stores. */
import { COUNTER_SCHEMA } from "../counter.ts";
import { INBOX_SCHEMA } from "../inbox.ts";
import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { OUTBOX_SCHEMA } from "../outbox.ts";

export const NOTIFIER_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...COUNTER_SCHEMA,
    ...OUTBOX_SCHEMA,
    ...INBOX_SCHEMA,
    // One row for each incident; those that are not closed are mirrored in memory.
    `CREATE TABLE incidents (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, closed_at INTEGER,
       record TEXT NOT NULL)`,
    "CREATE INDEX incidents_open ON incidents (number) WHERE closed_at IS NULL",
    // One row for each agent or task that failed in it. `expires_at` is null once it has recovered.
    `CREATE TABLE incident_entries (
       incident_id TEXT NOT NULL, key TEXT NOT NULL, expires_at INTEGER, entry TEXT NOT NULL,
       PRIMARY KEY (incident_id, key)) WITHOUT ROWID`,
    "CREATE INDEX incident_entries_by_key ON incident_entries (key)",
    "CREATE INDEX incident_entries_expiring ON incident_entries (expires_at) WHERE expires_at IS NOT NULL",
    // The incident and entry that cover a failure.
    `CREATE TABLE covered_failures (
       number INTEGER PRIMARY KEY AUTOINCREMENT, failure_id TEXT NOT NULL UNIQUE, incident_id TEXT NOT NULL,
       key TEXT NOT NULL)`,
    "CREATE INDEX covered_failures_by_incident ON covered_failures (incident_id)",
    // What each channel was last sent about an incident.
    `CREATE TABLE last_sent (
       incident_id TEXT NOT NULL, channel TEXT NOT NULL, record TEXT NOT NULL,
       PRIMARY KEY (incident_id, channel)) WITHOUT ROWID`,
    // The delivery log: one row for each message and channel, with its content and its state.
    `CREATE TABLE notifications (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
       kind TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL, next_try_at INTEGER,
       notification TEXT NOT NULL, message TEXT NOT NULL)`,
    "CREATE INDEX notifications_pending ON notifications (next_try_at) WHERE state = 'pending'",
    "CREATE INDEX notifications_by_channel ON notifications (channel, created_at)",
    `CREATE TABLE notification_incidents (
       dedup_key TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (dedup_key, number)) WITHOUT ROWID`,
  ],
];
