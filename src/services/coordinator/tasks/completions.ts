/** What follows when a task is done: it ends, and whoever did it has the credit. */
import type { EventDraft } from "../../../contract/event.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { withCompletion } from "../../../domain/task-type-performance.ts";
import type { Ledger } from "../cluster-context.ts";
import type { Losses } from "../failover/attempt-loss.ts";

/** How the attempt that did the task did it. */
export type Completion = {
  tookMs: number;
  /** It was over when its result came. */
  isLate: boolean;
};

export class Completions {
  readonly #ledger: Ledger;
  readonly #losses: Losses;

  constructor(ledger: Ledger, losses: Losses) {
    this.#ledger = ledger;
    this.#losses = losses;
  }

  /** @param before the task as it is stored; @param done as it is to be: of the attempt that did it */
  complete(before: TaskRecord, done: TaskRecord, { tookMs, isLate }: Completion, nowMs: number): TaskRecord {
    this.#ledger.saveTask(before, done);
    this.#ledger.attempts.end(done.id, done.attempt, "completed", nowMs);
    this.#credit(done, tookMs, nowMs);
    const data: EventDraft["data"] = isLate ? { late: true } : {};
    this.#losses.ended(done, { type: "task.completed", data }, nowMs);
    return done;
  }

  /** A completed task speaks for its agent. */
  #credit({ type, holder }: TaskRecord, tookMs: number, nowMs: number): void {
    const agent = holder === null ? undefined : this.#ledger.roster.find(holder);
    if (agent === undefined) return;
    this.#ledger.roster.save({
      ...agent,
      tasksCompleted: agent.tasksCompleted + 1,
      taskMsTotal: agent.taskMsTotal + tookMs,
      experience: withCompletion(agent.experience, type, tookMs, nowMs),
      track: withEvent(agent.track, "task_completed", nowMs),
    });
  }
}
