/** Node's own SQLite behind the interface of the storage layer. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Sql, SqlValue } from "../../../src/storage/sql.ts";

/** How a transaction ends: it commits, or the object crashes on either side of the commit. */
export type Fate = "commits" | "crashes before the commit" | "crashes after the commit";

/** The process is gone: none of its code runs any more. */
export class Crash extends Error {
  constructor() {
    super("the object crashed");
  }
}

export class NodeSql implements Sql {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Asked at each outermost transaction that is about to commit. */
  readonly #fateOf: () => Fate;
  readonly #onCommit: () => void;
  #isDead = false;
  #depth = 0;

  constructor(database: DatabaseSync, fateOf: () => Fate = () => "commits", onCommit: () => void = () => {}) {
    this.#database = database;
    this.#fateOf = fateOf;
    this.#onCommit = onCommit;
  }

  /** Code of the object that still runs reads and writes nothing any more. */
  die(): void {
    this.#isDead = true;
  }

  all<Row extends Record<string, SqlValue>>(statement: string, ...bindings: SqlValue[]): Row[] {
    if (this.#isDead) throw new Crash();
    let prepared = this.#statements.get(statement);
    if (prepared === undefined) {
      prepared = this.#database.prepare(statement);
      this.#statements.set(statement, prepared);
    }
    const rows = prepared.all(
      ...bindings.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value)),
    );
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])),
    ) as Row[];
  }

  sizeBytes(): number {
    const [size] = this.all<{ pages: number; pageBytes: number }>(
      "SELECT page_count AS pages, page_size AS pageBytes FROM pragma_page_count, pragma_page_size",
    );
    return size === undefined ? 0 : size.pages * size.pageBytes;
  }

  transaction<Result>(work: () => Result): Result {
    if (this.#isDead) throw new Crash();
    if (this.#depth > 0) return work();
    this.#depth += 1;
    this.#database.exec("BEGIN");
    try {
      const result = work();
      const fate = this.#fateOf();
      if (fate === "crashes before the commit") throw new Crash();
      this.#database.exec("COMMIT");
      this.#onCommit();
      if (fate === "crashes after the commit") throw new Crash();
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      if (error instanceof Crash) this.#isDead = true;
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }
}

function plain(value: unknown): SqlValue {
  if (value instanceof Uint8Array) {
    return value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength) as ArrayBuffer;
  }
  return value as SqlValue;
}
