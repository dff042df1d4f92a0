/** Results whose attempt was over when they came, one an attempt. They go with their task. */
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";

export type LateResultRecord = {
  readonly attempt: number;
  readonly agentId: string;
  readonly result: unknown;
  readonly receivedAtMs: number;
};

type Row = { attempt: number; agent_id: string; result: string; received_at: number };

export class LateResultStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(taskId: string, attempt: number, agentId: string, result: string, nowMs: number): void {
    this.#sql.all(
      "INSERT INTO late_results (task_id, attempt, agent_id, result, received_at) VALUES (?, ?, ?, ?, ?)",
      taskId,
      attempt,
      agentId,
      result,
      nowMs,
    );
  }

  has(taskId: string, attempt: number): boolean {
    return (
      first(
        this.#sql,
        "SELECT 1 AS found FROM late_results WHERE task_id = ? AND attempt = ?",
        taskId,
        attempt,
      ) !== undefined
    );
  }

  find(taskId: string, attempt: number): LateResultRecord | undefined {
    const row = first<Row>(
      this.#sql,
      "SELECT attempt, agent_id, result, received_at FROM late_results WHERE task_id = ? AND attempt = ?",
      taskId,
      attempt,
    );
    return row && recordOf(row);
  }

  /** In order of their attempts, behind one of them; fewer than asked for if they are large. */
  list(taskId: string, afterAttempt: number, limit: number): Slice<LateResultRecord> {
    let after = afterAttempt;
    const rows = readSlice<Row>(limit, (count) => {
      const page = this.#sql.all<Row>(
        `SELECT attempt, agent_id, result, received_at FROM late_results
         WHERE task_id = ? AND attempt > ? ORDER BY attempt LIMIT ?`,
        taskId,
        after,
        count,
      );
      after = page.at(-1)?.attempt ?? after;
      return page;
    });
    return mapSlice(rows, recordOf);
  }
}

function recordOf(row: Row): LateResultRecord {
  return {
    attempt: row.attempt,
    agentId: row.agent_id,
    result: JSON.parse(row.result),
    receivedAtMs: row.received_at,
  };
}
