/** Tasks: one row each. What is asked of some of them only has a store of its own below this one. */
import type { TaskFilter, TaskStatus } from "../../../contract/task.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { mapSlice, readSlice, type Slice } from "../../page.ts";
import { first, type Sql, twice } from "../../sql.ts";
import type { Row } from "../../table.ts";
import { HeldTaskStore } from "./held-tasks.ts";
import { PendingQueueStore } from "./pending-queue.ts";
import { TaskDeadlineStore } from "./task-deadlines.ts";
import { TaskDemandStore } from "./task-demand.ts";
import { TASKS } from "./task-table.ts";

/** What belongs to a task and is removed with it. */
const TABLES_OF_A_TASK = ["attempts", "late_results", "decisions"];

export class TaskStore {
  readonly held: HeldTaskStore;
  readonly pending: PendingQueueStore;
  readonly deadlines: TaskDeadlineStore;
  readonly demand: TaskDemandStore;
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.held = new HeldTaskStore(sql);
    this.pending = new PendingQueueStore(sql);
    this.deadlines = new TaskDeadlineStore(sql);
    this.demand = new TaskDemandStore(sql);
  }

  find(id: string): TaskRecord | undefined {
    const row = first(this.#sql, `SELECT ${TASKS.columns} FROM tasks WHERE id = ?`, id);
    return row && TASKS.read(row);
  }

  /** @param agingMs see urgencyOf */
  insert(task: TaskRecord, agingMs: number): void {
    TASKS.insert(this.#sql, task, agingMs);
  }

  /** Stores everything about a task that can change after its submission. */
  update(task: TaskRecord, agingMs: number): void {
    TASKS.update(this.#sql, task, agingMs);
  }

  countByStatus(): Map<TaskStatus, number> {
    const rows = this.#sql.all<{ status: TaskStatus; count: number }>(
      "SELECT status, count(*) AS count FROM tasks GROUP BY status",
    );
    return new Map(rows.map((row) => [row.status, row.count]));
  }

  /** Newest first, behind a number; fewer than asked for if they are large. */
  list(
    filter: TaskFilter,
    beforeNumber: number | null,
    limit: number,
  ): Slice<{ number: number; task: TaskRecord }> {
    const found = readSlice<Row & { number: number }>(limit, (count, last) =>
      this.#sql.all(
        `SELECT number, ${TASKS.columns} FROM tasks WHERE number < ? AND (? IS NULL OR status = ?)
           AND (? IS NULL OR (holder = ? AND status <> 'pending')) AND (? IS NULL OR type = ?)
         ORDER BY number DESC LIMIT ?`,
        last?.number ?? beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(filter.status),
        ...twice(filter.assigned_to),
        ...twice(filter.type),
        count,
      ),
    );
    return mapSlice(found, ({ number, ...row }) => ({ number, task: TASKS.read(row) }));
  }

  /** Orders the unfinished tasks anew, after a change of the aging. */
  reorder(agingMs: number): void {
    this.#sql.all(
      "UPDATE tasks SET urgency = created_at - priority * ? WHERE status = 'pending' OR is_held = 1",
      agingMs,
    );
  }

  earliestFinishedMs(): number | null {
    const earliest = "SELECT min(finished_at) AS at FROM tasks WHERE finished_at IS NOT NULL";
    return first<{ at: number | null }>(this.#sql, earliest)?.at ?? null;
  }

  /** Removes finished tasks with everything that belongs to them. @returns the status of each removed task */
  dropFinishedBefore(beforeMs: number, limit: number): TaskStatus[] {
    const rows = this.#sql.all<{ id: string; status: TaskStatus }>(
      "SELECT id, status FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?",
      beforeMs,
      limit,
    );
    const ids = JSON.stringify(rows.map((row) => row.id));
    for (const table of TABLES_OF_A_TASK) {
      this.#sql.all(`DELETE FROM ${table} WHERE task_id IN (SELECT value FROM json_each(?))`, ids);
    }
    this.#sql.all("DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))", ids);
    return rows.map((row) => row.status);
  }
}
