/** Everything an agent group stores. */
import { COUNTER_SCHEMA } from "../counter.ts";
import { INBOX_SCHEMA } from "../inbox.ts";
import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { OUTBOX_SCHEMA } from "../outbox.ts";

export const AGENT_GROUP_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...COUNTER_SCHEMA,
    ...OUTBOX_SCHEMA,
    ...INBOX_SCHEMA,
    // One row for each live agent. No index, and nothing here changes with a heartbeat.
    `CREATE TABLE sessions (
       agent_id TEXT PRIMARY KEY, slot INTEGER NOT NULL, incarnation INTEGER NOT NULL,
       interval_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, registered_at INTEGER NOT NULL,
       -- Broadcasts with a greater number are unread, unless they were acknowledged one by one.
       messages_from INTEGER NOT NULL,
       -- The agent's socket, the end of the grace period after a socket broke, and the drain.
       connection INTEGER, suspect_until INTEGER, drain_mode TEXT, drain_deadline INTEGER
     ) WITHOUT ROWID`,
    // One row for the whole group: three numbers a slot, see SignsOfLifeStore.
    `CREATE TABLE signs_of_life (
       id INTEGER PRIMARY KEY CHECK (id = 1), flushed_at INTEGER NOT NULL, slots BLOB NOT NULL)`,
    // Held locks, and released ones until maintenance removes them.
    `CREATE TABLE locks (
       resource TEXT PRIMARY KEY, holder TEXT, incarnation INTEGER, fencing_token INTEGER NOT NULL,
       ttl_ms INTEGER NOT NULL, acquired_at INTEGER NOT NULL, expires_at INTEGER, extensions INTEGER NOT NULL,
       released_token INTEGER, grantable_at INTEGER
     ) WITHOUT ROWID`,
    // The lock queues: one row for each waiter, in the order of their positions. Mirrored in memory, so no index.
    `CREATE TABLE lock_waiters (
       position INTEGER PRIMARY KEY, resource TEXT NOT NULL, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL,
       ttl_ms INTEGER NOT NULL, wait_ms INTEGER NOT NULL, ends_at INTEGER NOT NULL, extensions INTEGER NOT NULL,
       request_id TEXT)`,
    // Unread messages. A row without an agent is a broadcast: one row for the whole group.
    `CREATE TABLE messages (
       number INTEGER PRIMARY KEY AUTOINCREMENT, agent_id TEXT, sender TEXT NOT NULL,
       message_type TEXT NOT NULL, content TEXT NOT NULL, sent_at INTEGER NOT NULL)`,
    "CREATE INDEX messages_by_agent ON messages (agent_id)",
    // Broadcasts that an agent acknowledged before an earlier one; otherwise `messages_from` suffices.
    `CREATE TABLE acknowledgements (
       number INTEGER NOT NULL, agent_id TEXT NOT NULL, PRIMARY KEY (number, agent_id)) WITHOUT ROWID`,
  ],
  [
    // The process of each incarnation, and the live incarnation of another process that it replaced.
    "ALTER TABLE sessions ADD COLUMN instance TEXT",
    "ALTER TABLE sessions ADD COLUMN replaced_incarnation INTEGER",
    "ALTER TABLE sessions ADD COLUMN is_replaced_alive INTEGER NOT NULL DEFAULT 0",
    // How the latest incarnation of each agent ended, for the answers to its later calls. The oldest rows go first.
    `CREATE TABLE ended_sessions (
       number INTEGER PRIMARY KEY AUTOINCREMENT, agent_id TEXT NOT NULL UNIQUE, incarnation INTEGER NOT NULL,
       reason TEXT NOT NULL)`,
  ],
  // The last 16 grants that their holders released, as JSON.
  ["ALTER TABLE locks ADD COLUMN releases TEXT NOT NULL DEFAULT '[]'"],
];
