/** What follows when a task is done: it ends, and whoever did it has the credit. */
import { withCompletion } from "../../domain/experience.ts";
import { withEvent } from "../../domain/reliability.ts";
import type { TaskRecord } from "../../domain/task.ts";
import type { Ledger } from "./ledger.ts";
import type { Losses } from "./losses.ts";

/** The attempt that did the task. */
export type Deed = {
  agentId: string | null;
  attempt: number;
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

  /** @param before the task as it is stored; @param done as it is to be */
  complete(before: TaskRecord, done: TaskRecord, deed: Deed, nowMs: number): TaskRecord {
    this.#ledger.saveTask(before, done);
    this.#ledger.attempts.end(done.id, deed.attempt, "completed", nowMs);
    this.#credit(done, deed, nowMs);
    const data = deed.isLate ? { attempt: deed.attempt, late: true } : {};
    this.#losses.ended(done, { type: "task.completed", data }, nowMs);
    return done;
  }

  /** A completed task speaks for its agent. */
  #credit({ type }: TaskRecord, { agentId, tookMs }: Deed, nowMs: number): void {
    const agent = agentId === null ? undefined : this.#ledger.roster.find(agentId);
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
