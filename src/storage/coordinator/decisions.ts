/** Placement decisions, numbered within their task. */
import type { Decision } from "../../contract/placement/decision.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";

/** Decisions kept of one task; the oldest go first. */
const KEPT = 200;

export class DecisionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(number: number, decision: Decision): void {
    this.#sql.all(
      "INSERT INTO decisions (task_id, number, decision) VALUES (?, ?, ?)",
      decision.task_id,
      number,
      JSON.stringify(decision),
    );
    this.#sql.all("DELETE FROM decisions WHERE task_id = ? AND number <= ?", decision.task_id, number - KEPT);
  }

  /** The oldest decision behind a number. */
  firstAfter(taskId: string, after: number): Decision | undefined {
    const row = first<{ decision: string }>(
      this.#sql,
      "SELECT decision FROM decisions WHERE task_id = ? AND number > ? ORDER BY number LIMIT 1",
      taskId,
      after,
    );
    return row && (JSON.parse(row.decision) as Decision);
  }

  /** Oldest first, behind a number. */
  list(taskId: string, after: number, limit: number): Slice<{ number: number; decision: Decision }> {
    const found = readSlice<{ number: number; decision: string }>(limit, (count, last) =>
      this.#sql.all(
        "SELECT number, decision FROM decisions WHERE task_id = ? AND number > ? ORDER BY number LIMIT ?",
        taskId,
        last?.number ?? after,
        count,
      ),
    );
    return mapSlice(found, (row) => ({
      number: row.number,
      decision: JSON.parse(row.decision) as Decision,
    }));
  }
}
