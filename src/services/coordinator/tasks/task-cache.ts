/**
 * The stored tasks, with counts in memory that always agree with them: tasks by status, and the unstarted tasks of each
 * agent. Each change of a task goes through `save`.
 */
import { TASK_STATUSES, type TaskStatus } from "../../../contract/task.ts";
import { isFinished, isHeld, type TaskRecord } from "../../../domain/task.ts";
import { TaskStore } from "../../../storage/coordinator/tasks/task-store.ts";
import type { Sql } from "../../../storage/sql.ts";
import type { AgentRegistry } from "../agents/agent-registry.ts";

export class TaskCache {
  /** For reading. */
  readonly store: TaskStore;
  readonly #agents: AgentRegistry;
  #counts = new Map<TaskStatus, number>();
  #unstarted = new Map<string, number>();

  constructor(sql: Sql, agents: AgentRegistry) {
    this.store = new TaskStore(sql);
    this.#agents = agents;
  }

  load(): void {
    this.#counts = this.store.countByStatus();
    this.#unstarted = new Map(
      this.store.held.unstartedByAgent().map(({ agentId, count }) => [agentId, count]),
    );
  }

  /** @param before the task as it was stored, null for a new one; @param agingMs see urgencyOf */
  save(before: TaskRecord | null, after: TaskRecord, agingMs: number): void {
    if (before === null) this.store.insert(after, agingMs);
    else this.store.update(after, agingMs);
    if (before !== null) {
      this.#count(before.status, -1);
      this.#countUnstarted(before, -1);
    }
    this.#count(after.status, 1);
    this.#countUnstarted(after, 1);
    if (before !== null && isHeld(before.status) && before.holder !== null) {
      this.#agents.countOpenTask(before.holder, -1);
    }
    if (isHeld(after.status) && after.holder !== null) this.#agents.countOpenTask(after.holder, 1);
  }

  dropFinishedBefore(beforeMs: number, limit: number): number {
    const dropped = this.store.dropFinishedBefore(beforeMs, limit);
    for (const status of dropped) this.#count(status, -1);
    return dropped.length;
  }

  countOf(status: TaskStatus): number {
    return this.#counts.get(status) ?? 0;
  }

  /** Tasks that are assigned to the agent and not started. */
  unstartedOf(agentId: string): number {
    return this.#unstarted.get(agentId) ?? 0;
  }

  get finishedCount(): number {
    return TASK_STATUSES.filter(isFinished).reduce((sum, status) => sum + this.countOf(status), 0);
  }

  get openCount(): number {
    return TASK_STATUSES.filter((status) => !isFinished(status)).reduce(
      (sum, status) => sum + this.countOf(status),
      0,
    );
  }

  #countUnstarted({ status, holder }: TaskRecord, change: 1 | -1): void {
    if (status !== "assigned" || holder === null) return;
    const count = this.unstartedOf(holder) + change;
    if (count > 0) this.#unstarted.set(holder, count);
    else this.#unstarted.delete(holder);
  }

  #count(status: TaskStatus, change: 1 | -1): void {
    this.#counts.set(status, this.countOf(status) + change);
  }
}
