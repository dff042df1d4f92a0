/** Pending tasks in the order of urgency, and those that must wait before they are tried again. */
import type { TaskRecord } from "../../../domain/task.ts";
import { first, type Sql } from "../../sql.ts";
import { behind, type QueuePosition, TASKS } from "./task-table.ts";

/** A pending task without the fields that may be large: most that are looked at are not placed. */
export type PendingTask = QueuePosition & { id: string };

export class PendingQueueStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Pending tasks of one type behind a position, most urgent first; those that back off are left out. */
  page(
    type: string,
    after: QueuePosition | null,
    { nowMs, limit }: { nowMs: number; limit: number },
  ): PendingTask[] {
    return this.#sql.all<PendingTask>(
      `SELECT id, urgency, number FROM tasks WHERE status = 'pending' AND type = ? AND (urgency, number) > (?, ?)
         AND (not_before IS NULL OR not_before <= ?) ORDER BY urgency, number LIMIT ?`,
      type,
      ...behind(after),
      nowMs,
      limit,
    );
  }

  /** Pending tasks of the same type that come before this one, counted up to a limit. */
  countAhead(id: string, { nowMs, limit }: { nowMs: number; limit: number }): number {
    const counted = first<{ count: number }>(
      this.#sql,
      `SELECT count(*) AS count FROM (
         SELECT 1 FROM tasks AS own CROSS JOIN tasks AS other
         WHERE own.id = ? AND other.status = 'pending' AND other.type = own.type
           AND (other.urgency, other.number) < (own.urgency, own.number)
           AND (other.not_before IS NULL OR other.not_before <= ?) LIMIT ?)`,
      id,
      nowMs,
      limit,
    );
    return counted?.count ?? 0;
  }

  /** Tasks that wait for an agent since then or longer, without a failure on record for it, the oldest first. */
  queuedSince(sinceMs: number, limit: number): TaskRecord[] {
    return this.#sql
      .all(
        `SELECT ${TASKS.columns} FROM tasks
         WHERE status = 'pending' AND queued_at IS NOT NULL AND queued_at <= ? ORDER BY queued_at LIMIT ?`,
        sinceMs,
        limit,
      )
      .map(TASKS.read);
  }

  earliestQueuedMs(): number | null {
    const earliest =
      "SELECT min(queued_at) AS at FROM tasks WHERE status = 'pending' AND queued_at IS NOT NULL";
    return first<{ at: number | null }>(this.#sql, earliest)?.at ?? null;
  }

  countOf(type: string): number {
    const counted = "SELECT count(*) AS count FROM tasks WHERE status = 'pending' AND type = ?";
    return first<{ count: number }>(this.#sql, counted, type)?.count ?? 0;
  }

  /** Whether a task of this type still waits although a failure on record covers its wait. */
  hasRecordedWait(type: string): boolean {
    const waiting = `SELECT 1 FROM tasks
       WHERE status = 'pending' AND type = ? AND queued_at IS NULL AND not_before IS NULL LIMIT 1`;
    return first(this.#sql, waiting, type) !== undefined;
  }

  /** Which of these tasks are pending and were this agent's before. */
  formerlyHeldBy(agentId: string, ids: readonly string[]): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT id FROM tasks WHERE id IN (SELECT value FROM json_each(?))
           AND status = 'pending' AND holder = ?`,
        JSON.stringify(ids),
        agentId,
      )
      .map((row) => row.id);
  }

  /** Tasks whose back-off is over, the longest over first. */
  backedOff(nowMs: number, limit: number): TaskRecord[] {
    return this.#sql
      .all(
        `SELECT ${TASKS.columns} FROM tasks
         WHERE not_before IS NOT NULL AND not_before <= ? ORDER BY not_before LIMIT ?`,
        nowMs,
        limit,
      )
      .map(TASKS.read);
  }

  earliestBackOffMs(): number | null {
    const earliest = "SELECT min(not_before) AS at FROM tasks WHERE not_before IS NOT NULL";
    return first<{ at: number | null }>(this.#sql, earliest)?.at ?? null;
  }
}
