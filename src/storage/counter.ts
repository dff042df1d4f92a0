/**
 * Counters that only grow. A counter reserves numbers in blocks: its row holds a ceiling that no issued
 * number exceeds, so issuing writes one row for each block, and a crash skips numbers but never repeats one.
 */
import { first, type Sql } from "./sql.ts";

export const COUNTER_SCHEMA = [
  "CREATE TABLE counters (name TEXT PRIMARY KEY, ceiling INTEGER NOT NULL) WITHOUT ROWID",
] as const;

/** The most numbers that a crash skips: few beside 2^53, and enough to make the rows written rare. */
const BLOCK = 64;

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
