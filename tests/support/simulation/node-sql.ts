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

type Compiled = { prepared: StatementSync; names: string[] };

/** Compiled once for each database: its objects come and go. */
const STATEMENTS = new WeakMap<DatabaseSync, Map<string, Compiled>>();

export class NodeSql implements Sql {
  readonly #database: DatabaseSync;
  readonly #statements: Map<string, Compiled>;
  /** Asked at each outermost transaction that is about to commit. */
  readonly #fateOf: () => Fate;
  readonly #onCommit: () => void;
  #isDead = false;
  #depth = 0;

  constructor(database: DatabaseSync, fateOf: () => Fate = () => "commits", onCommit: () => void = () => {}) {
    this.#database = database;
    this.#statements = STATEMENTS.get(database) ?? new Map();
    STATEMENTS.set(database, this.#statements);
    this.#fateOf = fateOf;
    this.#onCommit = onCommit;
  }

  /** Code of the object that still runs reads and writes nothing any more. */
  die(): void {
    this.#isDead = true;
  }

  all<Row extends Record<string, SqlValue>>(statement: string, ...bindings: SqlValue[]): Row[] {
    if (this.#isDead) throw new Crash();
    const { prepared, names } = this.#compiled(statement);
    const rows: unknown = prepared.all(
      ...bindings.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value)),
    );
    return (rows as unknown[][]).map((values) => {
      const row: Record<string, SqlValue> = {};
      for (let index = 0; index < names.length; index++) row[names[index] ?? ""] = plain(values[index]);
      return row as Row;
    });
  }

  sizeBytes(): number {
    const [pages] = this.all<{ page_count: number }>("PRAGMA page_count");
    const [size] = this.all<{ page_size: number }>("PRAGMA page_size");
    return (pages?.page_count ?? 0) * (size?.page_size ?? 0);
  }

  #compiled(statement: string): Compiled {
    let compiled = this.#statements.get(statement);
    if (compiled === undefined) {
      // SQLite compiles a statement anew each time a value is bound as its limit, unless the limit is a sum.
      const prepared = this.#database.prepare(statement.replaceAll(/\bLIMIT \?/g, "LIMIT ? + 0"));
      // Objects that SQLite makes itself are slow to read.
      prepared.setReturnArrays(true);
      compiled = { prepared, names: prepared.columns().map(({ name }) => name) };
      this.#statements.set(statement, compiled);
    }
    return compiled;
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
