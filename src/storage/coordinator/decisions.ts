/** Placement decisions, numbered within their task. */
import type { Decision } from "../../contract/decision.ts";
import type { Sql } from "../sql.ts";

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

  /** Oldest first, behind a place in the list. */
  list(taskId: string, afterNumber: number, limit: number): { number: number; decision: Decision }[] {
    return this.#sql
      .all<{ number: number; decision: string }>(
        "SELECT number, decision FROM decisions WHERE task_id = ? AND number > ? ORDER BY number LIMIT ?",
        taskId,
        afterNumber,
        limit,
      )
      .map((row) => ({ number: row.number, decision: JSON.parse(row.decision) as Decision }));
  }
}
