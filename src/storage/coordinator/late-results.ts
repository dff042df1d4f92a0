/** Results that came after their attempt had ended, one for each attempt. They are removed with their task. */
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";
import { json, type Row, Table } from "../table.ts";

export type LateResultRecord = {
  readonly taskId: string;
  readonly attempt: number;
  readonly agentId: string;
  /** Any JSON value. */
  readonly result: unknown;
  readonly receivedAtMs: number;
};

const LATE_RESULTS = new Table<LateResultRecord>("late_results", {
  key: ["taskId", "attempt"],
  columns: {
    taskId: "task_id",
    attempt: "attempt",
    agentId: "agent_id",
    result: json("result"),
    receivedAtMs: "received_at",
  },
});

export class LateResultStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(late: LateResultRecord): void {
    LATE_RESULTS.insert(this.#sql, late);
  }

  has(taskId: string, attempt: number): boolean {
    const found = "SELECT 1 FROM late_results WHERE task_id = ? AND attempt = ?";
    return this.#sql.all(found, taskId, attempt).length > 0;
  }

  find(taskId: string, attempt: number): LateResultRecord | undefined {
    const row = first(
      this.#sql,
      `SELECT ${LATE_RESULTS.columns} FROM late_results WHERE task_id = ? AND attempt = ?`,
      taskId,
      attempt,
    );
    return row && LATE_RESULTS.read(row);
  }

  /** In the order of their attempts, behind one of them; fewer than asked for if they are large. */
  list(taskId: string, afterAttempt: number, limit: number): Slice<LateResultRecord> {
    const found = readSlice<Row & { attempt: number }>(limit, (count, last) =>
      this.#sql.all(
        `SELECT ${LATE_RESULTS.columns} FROM late_results
         WHERE task_id = ? AND attempt > ? ORDER BY attempt LIMIT ?`,
        taskId,
        last?.attempt ?? afterAttempt,
        count,
      ),
    );
    return mapSlice(found, LATE_RESULTS.read);
  }
}
