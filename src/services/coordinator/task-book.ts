/**
 * Tasks with the counts that must always agree with them: how many there are of each
 * status, and how many each agent holds. Every change of a task goes through `save`.
 */
import { TASK_STATUSES, type TaskStatus } from "../../contract/task.ts";
import { isFinished, isHeld, type TaskRecord } from "../../domain/task.ts";
import { TaskStore } from "../../storage/coordinator/tasks.ts";
import type { Sql } from "../../storage/sql.ts";
import type { Roster } from "./roster.ts";

export class TaskBook {
  /** For reading. */
  readonly store: TaskStore;
  readonly #roster: Roster;
  #counts = new Map<TaskStatus, number>();

  constructor(sql: Sql, roster: Roster) {
    this.store = new TaskStore(sql);
    this.#roster = roster;
  }

  load(): void {
    this.#counts = this.store.countByStatus();
  }

  /** @param before the task as it was stored, null for a new one; @param agingMs see urgencyOf */
  save(before: TaskRecord | null, after: TaskRecord, agingMs: number): void {
    if (before === null) this.store.insert(after, agingMs);
    else this.store.update(after, agingMs);
    if (before !== null) this.#count(before.status, -1);
    this.#count(after.status, 1);
    if (before !== null && isHeld(before.status) && before.holder !== null) {
      this.#roster.countOpenTask(before.holder, -1);
    }
    if (isHeld(after.status) && after.holder !== null) this.#roster.countOpenTask(after.holder, 1);
  }

  dropFinishedBefore(beforeMs: number, limit: number): number {
    const dropped = this.store.dropFinishedBefore(beforeMs, limit);
    for (const status of dropped) this.#count(status, -1);
    return dropped.length;
  }

  countOf(status: TaskStatus): number {
    return this.#counts.get(status) ?? 0;
  }

  get openCount(): number {
    return TASK_STATUSES.filter((status) => !isFinished(status)).reduce(
      (sum, status) => sum + this.countOf(status),
      0,
    );
  }

  #count(status: TaskStatus, change: 1 | -1): void {
    this.#counts.set(status, this.countOf(status) + change);
  }
}
