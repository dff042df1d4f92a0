/**
 * One row a fact about the object itself (boot id, stream id), and counters that only grow.
 *
 * A counter reserves numbers in blocks: its row holds a ceiling that no issued number
 * exceeds, so issuing costs a row once a block, and a crash skips numbers but never
 * repeats one.
 */
import { first, type Sql } from "./sql.ts";

export const META_SCHEMA = [
  "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
  "CREATE TABLE counters (name TEXT PRIMARY KEY, ceiling INTEGER NOT NULL) WITHOUT ROWID",
] as const;

/** Numbers skipped at most by a crash; small beside 2^53, large beside the cost of a row. */
const BLOCK = 64;

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

export class Counter {
  readonly #sql: Sql;
  readonly #name: string;
  #next = 0;
  #ceiling = 0;

  constructor(sql: Sql, name: string) {
    this.#sql = sql;
    this.#name = name;
  }

  /** Reads the ceiling; to be called at the start, and after a transaction that did not commit. */
  reload(): void {
    const row = first<{ ceiling: number }>(
      this.#sql,
      "SELECT ceiling FROM counters WHERE name = ?",
      this.#name,
    );
    this.#ceiling = row?.ceiling ?? 0;
    this.#next = this.#ceiling + 1;
  }

  /** A number greater than every one issued before. Call inside the transaction that uses it. */
  take(): number {
    if (this.#next > this.#ceiling) {
      this.#ceiling = this.#next + BLOCK - 1;
      this.#sql.all(
        "INSERT INTO counters (name, ceiling) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET ceiling = excluded.ceiling",
        this.#name,
        this.#ceiling,
      );
    }
    return this.#next++;
  }
}
