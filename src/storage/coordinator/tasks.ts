/** Tasks: one row a task, with the queries that the indexes are there for. */
import type { TaskFilter, TaskStatus } from "../../contract/task.ts";
import type { TaskRecord } from "../../domain/task.ts";
import type { Demand } from "../../strategies/readiness.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql, twice } from "../sql.ts";
import { changing, recordOf, type TaskRow } from "./task-row.ts";

/** A place in the order of urgency; the number tells equals apart. */
export type QueuePosition = { urgency: number; number: number };
export type QueuedTask = { task: TaskRecord; place: QueuePosition };

export class TaskStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  find(id: string): TaskRecord | undefined {
    const row = first<TaskRow>(this.#sql, "SELECT * FROM tasks WHERE id = ?", id);
    return row && recordOf(row);
  }

  /** @param agingMs see urgencyOf */
  insert(task: TaskRecord, agingMs: number): void {
    this.#sql.all(
      `INSERT INTO tasks (id, fingerprint, type, data, group_id, required_labels, timeout_ms,
         progress_timeout_ms, start_timeout_ms, late_result_policy, created_at,
         priority, status, holder, attempt, reassignment_count, previous_agents, backups, progress, result,
         error, pending_reason, assigned_at, started_at, progress_at, finished_at, deadline_at, extended_at,
         extensions, not_before, failure_count, decision_count,
         has_own_backups, urgency, is_held, late_result_count)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      task.id,
      task.fingerprint,
      task.type,
      JSON.stringify(task.data ?? null),
      task.group,
      JSON.stringify(task.requiredLabels),
      task.timeoutMs,
      task.progressTimeoutMs,
      task.startTimeoutMs,
      task.lateResultPolicy,
      task.createdAtMs,
      ...changing(task, agingMs),
    );
  }

  /** Stores everything about a task that can change after its submission. */
  update(task: TaskRecord, agingMs: number): void {
    this.#sql.all(
      `UPDATE tasks SET priority = ?, status = ?, holder = ?, attempt = ?, reassignment_count = ?,
         previous_agents = ?, backups = ?, progress = ?, result = ?, error = ?, pending_reason = ?,
         assigned_at = ?, started_at = ?, progress_at = ?, finished_at = ?, deadline_at = ?, extended_at = ?,
         extensions = ?, not_before = ?, failure_count = ?, decision_count = ?, has_own_backups = ?, urgency = ?,
         is_held = ?, late_result_count = ?
       WHERE id = ?`,
      ...changing(task, agingMs),
      task.id,
    );
  }

  countByStatus(): Map<TaskStatus, number> {
    const rows = this.#sql.all<{ status: string; count: number }>(
      "SELECT status, count(*) AS count FROM tasks GROUP BY status",
    );
    return new Map(rows.map((row) => [row.status as TaskStatus, row.count]));
  }

  heldCountByAgent(): Map<string, number> {
    const rows = this.#sql.all<{ holder: string; count: number }>(
      "SELECT holder, count(*) AS count FROM tasks WHERE is_held = 1 GROUP BY holder",
    );
    return new Map(rows.map((row) => [row.holder, row.count]));
  }

  /** What an agent holds, most urgent first. */
  heldBy(agentId: string, limit: number): TaskRecord[] {
    return this.#records(
      "SELECT * FROM tasks WHERE is_held = 1 AND holder = ? ORDER BY urgency, number LIMIT ?",
      agentId,
      limit,
    );
  }

  /** What an agent holds, most urgent first, without what may be large. */
  heldBriefly(agentId: string, limit: number): HeldTask[] {
    return this.#sql.all<HeldTask>(
      `SELECT id, holder, attempt, decision_count AS decisionCount FROM tasks
       WHERE is_held = 1 AND holder = ? ORDER BY urgency, number LIMIT ?`,
      agentId,
      limit,
    );
  }

  /** What an agent holds of these statuses, behind a place in the line; fewer than asked for if they are large. */
  heldPage(
    agentId: string,
    statuses: readonly TaskStatus[],
    after: QueuePosition | null,
    limit: number,
  ): Slice<QueuedTask> {
    let last = after;
    const rows = readSlice<HeldRow>(limit, (count) => {
      const page = this.#heldRows(agentId, statuses, last, count);
      last = page.at(-1) ?? last;
      return page;
    });
    return mapSlice(rows, placedOf);
  }

  /**
   * What each of these agents has not started, behind a place in its line: a slice for each, in order, as far as
   * `limit` tasks reach, and fewer if they are large.
   */
  unstartedPages(
    lines: readonly { agentId: string; after: QueuePosition | null }[],
    limit: number,
  ): Slice<QueuedTask>[] {
    let line = 0;
    let last: QueuePosition | null = null;
    const { items, hasMore } = readSlice<HeldRow & { line: number }>(limit, (count) => {
      const found: (HeldRow & { line: number })[] = [];
      for (let read = lines[line]; read !== undefined && found.length < count; read = lines[line]) {
        const wanted = count - found.length;
        const page = this.#heldRows(read.agentId, ["assigned"], last ?? read.after, wanted);
        for (const row of page) found.push({ ...row, line });
        last = page.at(-1) ?? last;
        if (page.length === wanted) continue;
        line += 1;
        last = null;
      }
      return found;
    });
    // There may be more behind the last row, of that line or of the next.
    const reached = hasMore ? 1 + (items.at(-1)?.line ?? 0) : lines.length;
    const slices = Array.from({ length: reached }, (_, index): Slice<QueuedTask> => {
      return { items: [], hasMore: hasMore && index === reached - 1 };
    });
    for (const row of items) slices[row.line]?.items.push(placedOf(row));
    return slices;
  }

  /** What an agent holds, oldest first. */
  heldByInOrderOfAge(agentId: string, limit: number): TaskRecord[] {
    return this.#records(
      "SELECT * FROM tasks WHERE is_held = 1 AND holder = ? ORDER BY created_at, number LIMIT ?",
      agentId,
      limit,
    );
  }

  /** Unfinished tasks counted by what they need and who holds them. */
  demands(): Demand[] {
    return this.#sql
      .all<{
        type: string;
        group_id: string | null;
        required_labels: string;
        holder: string | null;
        count: number;
      }>(
        `SELECT type, group_id, required_labels, iif(is_held = 1, holder, NULL) AS holder, count(*) AS count
         FROM tasks WHERE is_held = 1 OR status = 'pending' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
      )
      .map((row) => ({
        type: row.type,
        group: row.group_id,
        requiredLabels: JSON.parse(row.required_labels) as Record<string, string>,
        holder: row.holder,
        count: row.count,
      }));
  }

  /** The first few held tasks behind such a count. */
  idsOf({ type, group, requiredLabels, holder }: Demand, limit: number): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT id FROM tasks WHERE is_held = 1 AND holder = ? AND type = ? AND group_id IS ? AND required_labels = ?
         ORDER BY urgency, number LIMIT ?`,
        holder,
        type,
        group,
        JSON.stringify(requiredLabels),
        limit,
      )
      .map((row) => row.id);
  }

  /** Agents with tasks that were assigned and not started, and since when the oldest of these waits. */
  unstartedByAgent(): { agentId: string; count: number; oldestAssignedAtMs: number }[] {
    return this.#sql.all<{ agentId: string; count: number; oldestAssignedAtMs: number }>(
      `SELECT holder AS agentId, count(*) AS count, min(assigned_at) AS oldestAssignedAtMs
       FROM tasks WHERE is_held = 1 AND status = 'assigned' GROUP BY holder`,
    );
  }

  /** Waiting tasks of one type behind a place in the line, most urgent first; those that back off are left out. */
  waiting(type: string, after: QueuePosition | null, nowMs: number, limit: number): PendingTask[] {
    return this.#sql.all<PendingTask>(
      `SELECT id, urgency, number FROM tasks WHERE status = 'pending' AND type = ? AND (urgency, number) > (?, ?)
         AND (not_before IS NULL OR not_before <= ?) ORDER BY urgency, number LIMIT ?`,
      type,
      ...placeOrStart(after),
      nowMs,
      limit,
    );
  }

  /** Which of these tasks wait, and were this agent's before. */
  waitingSinceHeldBy(agentId: string, ids: readonly string[]): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT id FROM tasks WHERE id IN (SELECT value FROM json_each(?))
           AND status = 'pending' AND holder = ?`,
        JSON.stringify(ids),
        agentId,
      )
      .map((row) => row.id);
  }

  backedOff(nowMs: number, limit: number): TaskRecord[] {
    return this.#records(
      "SELECT * FROM tasks WHERE not_before IS NOT NULL AND not_before <= ? ORDER BY not_before LIMIT ?",
      nowMs,
      limit,
    );
  }

  earliestBackOffMs(): number | null {
    return this.#earliest("SELECT min(not_before) AS at FROM tasks WHERE not_before IS NOT NULL");
  }

  overdue(nowMs: number, limit: number): TaskRecord[] {
    return this.#records(
      "SELECT * FROM tasks WHERE deadline_at IS NOT NULL AND deadline_at <= ? ORDER BY deadline_at LIMIT ?",
      nowMs,
      limit,
    );
  }

  /** Tasks with a deadline, in order of their numbers, behind one of them. */
  withDeadline(afterNumber: number, limit: number): { number: number; task: TaskRecord }[] {
    return this.#sql
      .all<TaskRow>(
        "SELECT * FROM tasks WHERE deadline_at IS NOT NULL AND number > ? ORDER BY number LIMIT ?",
        afterNumber,
        limit,
      )
      .map((row) => ({ number: row.number, task: recordOf(row) }));
  }

  earliestDeadlineMs(): number | null {
    return this.#earliest("SELECT min(deadline_at) AS at FROM tasks WHERE deadline_at IS NOT NULL");
  }

  shortestTimeoutMs(): number | null {
    return this.#earliest(
      `SELECT min(coalesce(timeout_ms, 1e15), coalesce(progress_timeout_ms, 1e15), coalesce(start_timeout_ms, 1e15)) AS at
       FROM tasks WHERE deadline_at IS NOT NULL ORDER BY at LIMIT 1`,
    );
  }

  earliestFinishedMs(): number | null {
    return this.#earliest("SELECT min(finished_at) AS at FROM tasks WHERE finished_at IS NOT NULL");
  }

  /** Drops finished tasks, with all that is on record of them. @returns how many of each status went */
  dropFinishedBefore(beforeMs: number, limit: number): TaskStatus[] {
    const rows = this.#sql.all<{ id: string; status: string }>(
      "SELECT id, status FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?",
      beforeMs,
      limit,
    );
    const ids = JSON.stringify(rows.map((row) => row.id));
    this.#sql.all("DELETE FROM attempts WHERE task_id IN (SELECT value FROM json_each(?))", ids);
    this.#sql.all("DELETE FROM late_results WHERE task_id IN (SELECT value FROM json_each(?))", ids);
    this.#sql.all("DELETE FROM decisions WHERE task_id IN (SELECT value FROM json_each(?))", ids);
    this.#sql.all("DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))", ids);
    return rows.map((row) => row.status as TaskStatus);
  }

  /** After a change of the aging: the line of waiting tasks is ordered anew. */
  reorder(agingMs: number): void {
    this.#sql.all(
      "UPDATE tasks SET urgency = created_at - priority * ? WHERE status = 'pending' OR is_held = 1",
      agingMs,
    );
  }

  /** Newest first, behind a place in the list; fewer than asked for if they are large. */
  list(
    filter: TaskFilter,
    beforeNumber: number | null,
    limit: number,
  ): Slice<{ number: number; task: TaskRecord }> {
    let before = beforeNumber ?? Number.MAX_SAFE_INTEGER;
    const rows = readSlice<TaskRow>(limit, (count) => {
      const page = this.#sql.all<TaskRow>(
        `SELECT * FROM tasks WHERE number < ? AND (? IS NULL OR status = ?)
           AND (? IS NULL OR (holder = ? AND status <> 'pending')) AND (? IS NULL OR type = ?)
         ORDER BY number DESC LIMIT ?`,
        before,
        ...twice(filter.status),
        ...twice(filter.assigned_to),
        ...twice(filter.type),
        count,
      );
      before = page.at(-1)?.number ?? before;
      return page;
    });
    return mapSlice(rows, (row) => ({ number: row.number, task: recordOf(row) }));
  }

  #heldRows(
    agentId: string,
    statuses: readonly TaskStatus[],
    after: QueuePosition | null,
    limit: number,
  ): HeldRow[] {
    return this.#sql.all<HeldRow>(
      `SELECT * FROM tasks WHERE is_held = 1 AND holder = ? AND (urgency, number) > (?, ?)
         AND status IN (SELECT value FROM json_each(?)) ORDER BY urgency, number LIMIT ?`,
      agentId,
      ...placeOrStart(after),
      JSON.stringify(statuses),
      limit,
    );
  }

  #records(statement: string, ...bindings: (string | number)[]): TaskRecord[] {
    return this.#sql.all<TaskRow>(statement, ...bindings).map(recordOf);
  }

  #earliest(statement: string): number | null {
    return first<{ at: number | null }>(this.#sql, statement)?.at ?? null;
  }
}

type HeldRow = TaskRow & QueuePosition;

function placedOf(row: HeldRow): QueuedTask {
  return { task: recordOf(row), place: { urgency: row.urgency, number: row.number } };
}

/** A waiting task without what may be large: most that are looked at are not taken. */
export type PendingTask = QueuePosition & { id: string };

export type HeldTask = { id: string; holder: string; attempt: number; decisionCount: number };

function placeOrStart(place: QueuePosition | null): [number, number] {
  return place === null ? [-Number.MAX_VALUE, 0] : [place.urgency, place.number];
}
