/** A database of the data folder, opened for reading only. A server may be running on it. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";

export type Value = string | number | null;
export type Row = Record<string, Value>;

/** A server that writes a checkpoint holds the database for milliseconds. */
const BUSY_TIMEOUT_MS = 2000;

export class Database implements Disposable {
  readonly #database: DatabaseSync;

  /** @throws if the file is no database or cannot be read */
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    // One transaction, so that all that is read is from the same instant.
    this.#database.exec("BEGIN");
  }

  all<Found extends Row = Row>(statement: string, ...bindings: SQLInputValue[]): Found[] {
    const prepared = this.#database.prepare(statement);
    prepared.setReadBigInts(true);
    return prepared.all(...bindings).map((row) => {
      return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])) as Found;
    });
  }

  first<Found extends Row = Row>(statement: string, ...bindings: SQLInputValue[]): Found | undefined {
    return this.all<Found>(statement, ...bindings)[0];
  }

  /** The counts of a table by one of its columns. */
  counts(table: string, column: string): Record<string, number> {
    const rows = this.all<{ value: string; count: number }>(
      `SELECT ${column} AS value, count(*) AS count FROM ${table} GROUP BY 1 ORDER BY 1`,
    );
    return Object.fromEntries(rows.map(({ value, count }) => [value, count]));
  }

  count(table: string): number {
    return this.first<{ count: number }>(`SELECT count(*) AS count FROM ${table}`)?.count ?? 0;
  }

  tables(): string[] {
    const tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    return this.all<{ name: string }>(tables).map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** As JSON can have it: integers beyond 2^53 as text, bytes as base64. */
function plain(value: unknown): Value {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value as Value;
}
