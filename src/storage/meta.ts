/** Facts about the object itself, one row each: its stream id, its boot id, the configuration in force. */
import { first, type Sql } from "./sql.ts";

export const META_SCHEMA = [
  "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
] as const;

export class MetaStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  read(name: string): string | null {
    return first<{ value: string }>(this.#sql, "SELECT value FROM meta WHERE name = ?", name)?.value ?? null;
  }

  write(name: string, value: string): void {
    this.#sql.all(
      "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}
