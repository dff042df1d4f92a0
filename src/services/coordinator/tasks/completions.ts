/** Completed tasks: the task ends, and its agent's reliability and performance improve. */
import type { EventDraft } from "../../../contract/event.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { withCompletion } from "../../../domain/task-type-performance.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { TaskEndings } from "./task-endings.ts";

/** The completing attempt. */
export type Completion = {
  /** The task as it is stored. */
  before: TaskRecord;
  /** The task as completed by that attempt. */
  done: TaskRecord;
  tookMs: number;
  /** The attempt had ended when its result came. */
  isLate: boolean;
};

type Needs = Pick<ClusterContext, "agents" | "attempts" | "saveTask">;

export class Completions {
  readonly #context: Needs;
  readonly #endings: Pick<TaskEndings, "announce">;

  constructor(context: Needs, endings: Pick<TaskEndings, "announce">) {
    this.#context = context;
    this.#endings = endings;
  }

  complete({ before, done, tookMs, isLate }: Completion, nowMs: number): TaskRecord {
    this.#context.saveTask(before, done);
    this.#context.attempts.end(done, "completed", nowMs);
    this.#countForAgent(done, tookMs, nowMs);
    const data: EventDraft["data"] = isLate ? { late: true } : {};
    this.#endings.announce(done, { type: "task.completed", data }, nowMs);
    return done;
  }

  #countForAgent({ type, holder }: TaskRecord, tookMs: number, nowMs: number): void {
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
