/**
 * The interface to SQLite: what the SQLite of a Durable Object and that of Node have in common. Everything is synchronous, so
 * no other event can come between the statements of a transaction.
 */

/** `boolean` is missing on purpose: store 0 and 1. Blobs are `ArrayBuffer`s. */
export type SqlValue = string | number | null | ArrayBuffer;

export interface Sql {
  /** Runs one statement and returns its rows. At most 100 bindings; pass lists as one JSON text with `json_each(?)`. */
  all<Row extends Record<string, SqlValue>>(statement: string, ...bindings: SqlValue[]): Row[];

  /** How large the database is. */
  sizeBytes(): number;

  /** Runs `work`; all it wrote becomes durable together, or, if it throws, not at all. May be nested. */
  transaction<Result>(work: () => Result): Result;
}

/** The first row, or undefined. */
export function first<Row extends Record<string, SqlValue>>(
  sql: Sql,
  statement: string,
  ...bindings: SqlValue[]
): Row | undefined {
  return sql.all<Row>(statement, ...bindings)[0];
}

/** For a condition that is off when its value is missing: `(? IS NULL OR column = ?)`. */
export function twice(value: string | null | undefined): [string | null, string | null] {
  return [value ?? null, value ?? null];
}
