/** Everything an agent group stores. */

import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { POST_SCHEMA } from "../outbox.ts";

export const AGENT_GROUP_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...POST_SCHEMA,
    // One row a live agent. No index, and nothing here changes with a heartbeat.
    `CREATE TABLE sessions (
       agent_id TEXT PRIMARY KEY, slot INTEGER NOT NULL, incarnation INTEGER NOT NULL,
       interval_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, registered_at INTEGER NOT NULL
     ) WITHOUT ROWID`,
    // One row for the whole group: three numbers a slot, see SignStore.
    `CREATE TABLE signs (
       id INTEGER PRIMARY KEY CHECK (id = 1), flushed_at INTEGER NOT NULL, slots BLOB NOT NULL)`,
    // Held locks, and released ones until they are swept.
    `CREATE TABLE locks (
       resource TEXT PRIMARY KEY, holder TEXT, incarnation INTEGER, fencing_token INTEGER NOT NULL,
       ttl_ms INTEGER NOT NULL, acquired_at INTEGER NOT NULL, expires_at INTEGER, credits INTEGER NOT NULL,
       released_token INTEGER, grantable_at INTEGER
     ) WITHOUT ROWID`,
  ],
  [
    // What is unread. A row without an agent is a broadcast: one row for the whole group.
    `CREATE TABLE messages (
       number INTEGER PRIMARY KEY AUTOINCREMENT, agent_id TEXT, sender TEXT NOT NULL,
       message_type TEXT NOT NULL, content TEXT NOT NULL, sent_at INTEGER NOT NULL)`,
    "CREATE INDEX messages_by_agent ON messages (agent_id)",
    // Broadcasts that an agent acknowledged before an earlier one; else its session's mark says it all.
    `CREATE TABLE acknowledgements (
       number INTEGER NOT NULL, agent_id TEXT NOT NULL, PRIMARY KEY (number, agent_id)) WITHOUT ROWID`,
    "ALTER TABLE sessions ADD COLUMN messages_from INTEGER NOT NULL DEFAULT 0",
  ],
  [
    // A session's socket, the end of its grace after one broke, and whether it drains.
    "ALTER TABLE sessions ADD COLUMN connection INTEGER",
    "ALTER TABLE sessions ADD COLUMN suspect_until INTEGER",
    "ALTER TABLE sessions ADD COLUMN drain_mode TEXT",
    "ALTER TABLE sessions ADD COLUMN drain_deadline INTEGER",
    // The lines for locks: one row a waiter, in the order of their numbers. Mirrored in memory, so without an index.
    `CREATE TABLE lock_waiters (
       number INTEGER PRIMARY KEY, resource TEXT NOT NULL, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL,
       ttl_ms INTEGER NOT NULL, wait_ms INTEGER NOT NULL, ends_at INTEGER NOT NULL, credits INTEGER NOT NULL,
       request_id TEXT)`,
  ],
];
