/**
 * Records tasks that have waited for an agent for `queue_warning_seconds`: one failure for each type of task, until the
 * queue of that type was served. A long queue is then one record, however many tasks join it.
 *
 *   served --a task waits too long--> recorded --no other does for that time, and none of those waits--> served
 */
import { TASKS_NAMED } from "../../../contract/incident.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { longQueueFailure } from "../failover/failure-record.ts";

/** Tasks looked at in one alarm at most; the rest follows in the next alarm. */
const SLICE = 100;

/** Types of task with a record at a time. Beyond these, a long wait is not recorded. */
const TYPES_LIMIT = 100;

/** The name in `meta`. */
const STATE = "queue_warnings";

type StoredState = { recorded: [type: string, atMs: number][]; countsFromMs: number };
const NOTHING: StoredState = { recorded: [], countsFromMs: 0 };

type Needs = Pick<
  ClusterContext,
  "host" | "meta" | "outbox" | "settings" | "tasks" | "recordFailure" | "saveTask"
>;

export class QueueWarnings {
  readonly #context: Needs;
  /** The types with a record, and when a task of the type was last found to have waited too long. */
  #recorded = new Map<string, number>();
  /** No wait counts from earlier: the server was down until then. */
  #countsFromMs = 0;

  constructor(context: Needs) {
    this.#context = context;
  }

  load(): void {
    const stored = this.#context.meta.read(STATE);
    const { recorded, countsFromMs } = stored === null ? NOTHING : (JSON.parse(stored) as StoredState);
    this.#recorded = new Map(recorded);
    this.#countsFromMs = countsFromMs;
  }

  /** There was an outage of ours until `endMs`, in which no agent could take a task. */
  pausedUntil(endMs: number): void {
    this.#countsFromMs = endMs;
    this.#store();
  }

  nextWorkMs(): number | null {
    const sinceMs = earliest(
      this.#context.tasks.store.pending.earliestQueuedMs(),
      ...this.#recorded.values(),
    );
    return sinceMs === null ? null : Math.max(sinceMs, this.#countsFromMs) + this.#limitMs;
  }

  /** In the transaction of the alarm. */
  runDue(nowMs: number): void {
    if (nowMs < this.#countsFromMs + this.#limitMs) return;
    const waiting = this.#context.tasks.store.pending.queuedSince(nowMs - this.#limitMs, SLICE);
    const ended = [...this.#recorded].flatMap(([type, atMs]) => (atMs + this.#limitMs <= nowMs ? type : []));
    if (waiting.length === 0 && ended.length === 0) return;
    for (const task of waiting) this.#context.saveTask(task, { ...task, queuedAtMs: null });
    for (const [type, tasks] of Map.groupBy(waiting, ({ type }) => type)) this.#waited(type, tasks, nowMs);
    for (const type of ended) this.#endIfServed(type, nowMs);
    this.#store();
  }

  #store(): void {
    const state: StoredState = { recorded: [...this.#recorded], countsFromMs: this.#countsFromMs };
    this.#context.meta.write(STATE, JSON.stringify(state));
  }

  get #limitMs(): number {
    return this.#context.settings.config.task_config.queue_warning_seconds * 1000;
  }

  #waited(taskType: string, tasks: readonly TaskRecord[], nowMs: number): void {
    const isNew = !this.#recorded.has(taskType);
    if (isNew && this.#recorded.size >= TYPES_LIMIT) return;
    this.#recorded.set(taskType, nowMs);
    if (!isNew) return;
    const taskIds = tasks.slice(0, TASKS_NAMED).map(({ id }) => id);
    const count = this.#context.tasks.store.pending.countOf(taskType);
    const id = this.#context.host.randomId();
    this.#context.recordFailure(
      longQueueFailure({ id, taskType, taskIds, count, waitedMs: this.#limitMs }, nowMs),
      { queueOf: taskType, stranded: taskIds, taskCount: count },
      nowMs,
    );
  }

  #endIfServed(taskType: string, nowMs: number): void {
    const lastMs = this.#recorded.get(taskType);
    // In this alarm a task of the type may have been found.
    if (lastMs === nowMs) return;
    if (this.#context.tasks.store.pending.hasRecordedWait(taskType)) {
      this.#recorded.set(taskType, nowMs);
      return;
    }
    this.#recorded.delete(taskType);
    this.#context.outbox.send("notifier", { type: "queue_served", taskType, atMs: nowMs });
  }
}
