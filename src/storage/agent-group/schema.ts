/** Everything an agent group stores. */

import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { POST_SCHEMA } from "../post.ts";

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
];
