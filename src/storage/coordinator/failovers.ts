/** Failovers under way: what is left when a crash comes between two slices. */
import type { DecisionReason } from "../../contract/decision.ts";
import type { TaskMove } from "../../contract/incident.ts";
import type { Sql } from "../sql.ts";

export type FailoverJob = {
  failureId: string;
  agentId: string;
  incarnation: number;
  reason: Extract<DecisionReason, "agent_failed" | "agent_unregistered">;
  isCritical: boolean;
  startedAtMs: number;
  tasksReassigned: number;
  tasksPending: number;
  tasksFailed: number;
  /** The first few tasks that nobody could take. */
  stranded: string[];
  /** Where the first few of the others went. */
  moved: TaskMove[];
};

type Row = Omit<FailoverJob, "isCritical" | "stranded" | "moved" | "reason"> & {
  reason: string;
  isCritical: number;
  stranded: string;
  moved: string;
};

export class FailoverStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  save(job: FailoverJob): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO failovers (failure_id, agent_id, incarnation, reason, is_critical, started_at,
         tasks_reassigned, tasks_pending, tasks_failed, stranded, moved)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      job.failureId,
      job.agentId,
      job.incarnation,
      job.reason,
      job.isCritical ? 1 : 0,
      job.startedAtMs,
      job.tasksReassigned,
      job.tasksPending,
      job.tasksFailed,
      JSON.stringify(job.stranded),
      JSON.stringify(job.moved),
    );
  }

  remove(failureId: string): void {
    this.#sql.all("DELETE FROM failovers WHERE failure_id = ?", failureId);
  }

  /** The job whose turn it is: critical agents' first, then the oldest. */
  next(): FailoverJob | undefined {
    const row = this.#sql.all<Row>(
      `SELECT failure_id AS failureId, agent_id AS agentId, incarnation, reason, is_critical AS isCritical,
         started_at AS startedAtMs, tasks_reassigned AS tasksReassigned, tasks_pending AS tasksPending,
         tasks_failed AS tasksFailed, stranded, moved
       FROM failovers ORDER BY is_critical DESC, started_at, failure_id LIMIT 1`,
    )[0];
    if (row === undefined) return undefined;
    return {
      ...row,
      reason: row.reason as FailoverJob["reason"],
      isCritical: row.isCritical === 1,
      stranded: JSON.parse(row.stranded) as string[],
      moved: JSON.parse(row.moved) as TaskMove[],
    };
  }
}
