/** Everything a notifier stores. */
import { META_SCHEMA } from "../meta.ts";
import type { Migrations } from "../migrations.ts";
import { POST_SCHEMA } from "../post.ts";

export const NOTIFIER_MIGRATIONS: Migrations = [
  [
    ...META_SCHEMA,
    ...POST_SCHEMA,
    // The delivery log: one row a message and channel.
    `CREATE TABLE notifications (
       number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, notification TEXT NOT NULL)`,
  ],
];
