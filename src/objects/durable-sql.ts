/** A Durable Object's SQLite as the storage layer wants it, with a count of the rows it wrote. */
import type { Sql, SqlValue } from "../storage/sql.ts";

export class DurableSql implements Sql {
  readonly #storage: DurableObjectStorage;
  /** Rows written so far, indexes included, as the platform bills them. */
  rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  all<Row extends Record<string, SqlValue>>(statement: string, ...bindings: SqlValue[]): Row[] {
    const cursor = this.#storage.sql.exec<Row>(statement, ...bindings);
    const rows = cursor.toArray();
    this.rowsWritten += cursor.rowsWritten;
    return rows;
  }

  sizeBytes(): number {
    return this.#storage.sql.databaseSize;
  }

  transaction<Result>(work: () => Result): Result {
    return this.#storage.transactionSync(work);
  }
}
