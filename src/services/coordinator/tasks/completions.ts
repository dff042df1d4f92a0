/** What follows when a task is done: it ends, and whoever did it has the credit. */
import type { EventDraft } from "../../../contract/event.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { withCompletion } from "../../../domain/task-type-performance.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AttemptLosses } from "../failover/attempt-loss.ts";

/** How the attempt that did the task did it. */
export type Completion = {
  tookMs: number;
  /** It was over when its result came. */
  isLate: boolean;
};

export class Completions {
  readonly #context: ClusterContext;
  readonly #losses: AttemptLosses;

  constructor(context: ClusterContext, losses: AttemptLosses) {
    this.#context = context;
    this.#losses = losses;
  }

  /** @param before the task as it is stored; @param done as it is to be: of the attempt that did it */
  complete(before: TaskRecord, done: TaskRecord, { tookMs, isLate }: Completion, nowMs: number): TaskRecord {
    this.#context.saveTask(before, done);
    this.#context.attempts.end(done.id, done.attempt, "completed", nowMs);
    this.#credit(done, tookMs, nowMs);
    const data: EventDraft["data"] = isLate ? { late: true } : {};
    this.#losses.ended(done, { type: "task.completed", data }, nowMs);
    return done;
  }

  /** A completed task speaks for its agent. */
  #credit({ type, holder }: TaskRecord, tookMs: number, nowMs: number): void {
    const agent = holder === null ? undefined : this.#context.agents.find(holder);
    if (agent === undefined) return;
    this.#context.agents.save({
      ...agent,
      tasksCompleted: agent.tasksCompleted + 1,
      taskMsTotal: agent.taskMsTotal + tookMs,
      performance: withCompletion(agent.performance, { type, tookMs }, nowMs),
      reliabilityHistory: withEvent(agent.reliabilityHistory, "task_completed", nowMs),
    });
  }
}
