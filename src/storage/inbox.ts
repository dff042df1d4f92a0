/** How far the messages of each stream were applied. A stream is one sender's messages to this object. */
import { first, type Sql } from "./sql.ts";

export const INBOX_SCHEMA = [
  "CREATE TABLE inbox (stream TEXT PRIMARY KEY, applied INTEGER NOT NULL) WITHOUT ROWID",
] as const;

export class InboxStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The last number applied from this stream; null for an unknown stream. */
  applied(stream: string): number | null {
    return (
      first<{ applied: number }>(this.#sql, "SELECT applied FROM inbox WHERE stream = ?", stream)?.applied ??
      null
    );
  }

  record(stream: string, number: number): void {
    this.#sql.all(
      "INSERT INTO inbox (stream, applied) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET applied = excluded.applied",
      stream,
      number,
    );
  }
}
