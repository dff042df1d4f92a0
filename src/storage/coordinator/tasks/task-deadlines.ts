/** The tasks whose current attempt has a deadline. */
import type { TaskRecord } from "../../../domain/task.ts";
import { first, type Sql } from "../../sql.ts";
import type { Row } from "../../table.ts";
import { TASKS } from "./task-table.ts";

export class TaskDeadlineStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Tasks whose deadline has passed, the longest passed first. */
  overdue(nowMs: number, limit: number): TaskRecord[] {
    return this.#sql
      .all(
        `SELECT ${TASKS.columns} FROM tasks
         WHERE deadline_at IS NOT NULL AND deadline_at <= ? ORDER BY deadline_at LIMIT ?`,
        nowMs,
        limit,
      )
      .map(TASKS.read);
  }

  /** Tasks with a deadline, in the order of their numbers, behind one of them. */
  page(afterNumber: number, limit: number): { number: number; task: TaskRecord }[] {
    return this.#sql
      .all<Row & { number: number }>(
        `SELECT number, ${TASKS.columns} FROM tasks
         WHERE deadline_at IS NOT NULL AND number > ? ORDER BY number LIMIT ?`,
        afterNumber,
        limit,
      )
      .map(({ number, ...row }) => ({ number, task: TASKS.read(row) }));
  }

  earliestMs(): number | null {
    return this.#least("SELECT min(deadline_at) AS least FROM tasks WHERE deadline_at IS NOT NULL");
  }

  shortestTimeoutMs(): number | null {
    return this.#least(
      `SELECT min(coalesce(timeout_ms, 1e15), coalesce(progress_timeout_ms, 1e15), coalesce(start_timeout_ms, 1e15)) AS least
       FROM tasks WHERE deadline_at IS NOT NULL ORDER BY least LIMIT 1`,
    );
  }

  #least(statement: string): number | null {
    return first<{ least: number | null }>(this.#sql, statement)?.least ?? null;
  }
}
