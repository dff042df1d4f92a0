/**
 * What holders report of their tasks: start, progress, completion, failure. Whether a report
 * counts is decided by the attempt (see task-life); a call with an older one changes nothing
 * and is told what is current.
 */
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type {
  Task,
  TaskCompletion,
  TaskError,
  TaskFailure,
  TaskProgress,
  TaskResult,
  TaskStart,
} from "../../contract/task.ts";
import { backoffMs, TASK_RETRY } from "../../domain/backoff.ts";
import { withCompletion } from "../../domain/experience.ts";
import { withEvent } from "../../domain/reliability.ts";
import { isHeld, type TaskRecord } from "../../domain/task.ts";
import { begun, completed, failed, progressed, type Standing, standingOf } from "../../domain/task-life.ts";
import type { Ledger } from "./ledger.ts";
import type { Losses } from "./losses.ts";
import type { Placement } from "./placement.ts";
import { finishedAlready, noSuchTask } from "./refusals.ts";
import { taskView } from "./views.ts";

/** Who speaks, as the token says; null for an operator. */
export type Speaker = { agentId: string; incarnation: number } | null;

export class Reports {
  readonly #ledger: Ledger;
  readonly #placement: Placement;
  readonly #losses: Losses;

  constructor(ledger: Ledger, placement: Placement, losses: Losses) {
    this.#ledger = ledger;
    this.#placement = placement;
    this.#losses = losses;
  }

  start(taskId: string, report: TaskStart, speaker: Speaker, nowMs: number): Outcome<Task> {
    return this.#report(taskId, report, speaker, (task, standing) => {
      if (standing !== "current") return finishedAlready(task);
      return this.#endedSpeaker(task, speaker) ?? ok(this.#keep(task, begun(task, nowMs), nowMs));
    });
  }

  progress(taskId: string, report: TaskProgress, speaker: Speaker, nowMs: number): Outcome<Task> {
    return this.#report(taskId, report, speaker, (task, standing) => {
      if (standing !== "current") return finishedAlready(task);
      return (
        this.#endedSpeaker(task, speaker) ??
        ok(this.#keep(task, progressed(task, report.progress, nowMs), nowMs))
      );
    });
  }

  complete(taskId: string, report: TaskCompletion, speaker: Speaker, nowMs: number): Outcome<Task> {
    return this.#report(taskId, report, speaker, (task, standing) => {
      if (standing === "settled") return task.status === "completed" ? ok(task) : finishedAlready(task);
      const done = completed(task, report.result ?? null, nowMs);
      this.#ledger.saveTask(task, done);
      this.#ledger.attempts.end(task.id, task.attempt, "completed", nowMs);
      this.#credit(task, nowMs);
      this.#losses.ended(done, "task.completed", nowMs);
      return ok(done);
    });
  }

  fail(taskId: string, report: TaskFailure, speaker: Speaker, nowMs: number): Outcome<Task> {
    if (this.#isRepeatedFailure(taskId, report) && speaksForItself(report, speaker)) {
      const task = this.#ledger.tasks.store.find(taskId);
      // Answered as the first time, yet what a later holder made of it is not this one's to see.
      if (task !== undefined) return ok({ ...taskView(task), result: null });
    }
    return this.#report(taskId, report, speaker, (task, standing) => {
      if (standing === "settled") return finishedAlready(task);
      return ok(this.#failBy(task, report.error, nowMs));
    });
  }

  /** Of a batch: a completion, or a failure if there is an `error`. */
  settle({ task_id, result, error, ...holder }: TaskResult, speaker: Speaker, nowMs: number): Outcome<Task> {
    if (error !== undefined) return this.fail(task_id, { ...holder, error }, speaker, nowMs);
    return this.complete(task_id, { ...holder, ...(result === undefined ? {} : { result }) }, speaker, nowMs);
  }

  /** Finds the task and what the report is worth; a stale one is refused with what is current. */
  #report(
    taskId: string,
    { agent_id, attempt }: TaskStart,
    speaker: Speaker,
    count: (task: TaskRecord, standing: Exclude<Standing, "stale">) => Outcome<TaskRecord>,
  ): Outcome<Task> {
    const task = this.#ledger.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (!speaksForItself({ agent_id }, speaker)) {
      return refuse("forbidden", "an agent reports for itself alone");
    }
    const standing = this.#isOfEarlierLife(taskId, attempt, speaker)
      ? "stale"
      : standingOf(task, agent_id, attempt);
    if (standing === "stale") {
      return refuse("stale_attempt", "this attempt of this agent is not the current one", {
        attempt: task.attempt,
        assigned_to: task.status === "pending" ? null : task.holder,
        task_status: task.status,
      });
    }
    const counted = count(task, standing);
    return counted.ok ? ok(taskView(counted.value)) : counted;
  }

  /** The report of a failure came before, and was counted. */
  #isRepeatedFailure(taskId: string, { agent_id, attempt }: TaskStart): boolean {
    const given = this.#ledger.attempts.find(taskId, attempt);
    return given?.agentId === agent_id && given.outcome === "reported_failed";
  }

  /**
   * The attempt was given to a later incarnation than the one that speaks. So a task id that
   * is used again, long after its first task was dropped, is safe from the first one's holders.
   */
  #isOfEarlierLife(taskId: string, attempt: number, speaker: Speaker): boolean {
    if (speaker === null) return false;
    const given = this.#ledger.attempts.find(taskId, attempt);
    return given !== undefined && speaker.incarnation < given.incarnation;
  }

  /** Starting and getting on is for live incarnations; results are taken from ended ones too. */
  #endedSpeaker(task: TaskRecord, speaker: Speaker): Outcome<never> | null {
    if (speaker === null) return null;
    const agent = this.#ledger.roster.find(speaker.agentId);
    if (agent?.incarnation === speaker.incarnation && agent.status !== "inactive") return null;
    return refuse("session_expired", "this incarnation is over; register again", {
      task_id: task.id,
    });
  }

  #keep(before: TaskRecord, after: TaskRecord, nowMs: number): TaskRecord {
    if (after === before) return before;
    this.#ledger.saveTask(before, after);
    if (before.status === "assigned") {
      this.#ledger.note(
        { type: "task.started", subject: after.id, data: { agent_id: after.holder, attempt: after.attempt } },
        nowMs,
      );
      if (after.holder !== null) this.#ledger.doorbells.answered(after.holder);
    }
    return after;
  }

  /** @returns the task as it stands after its holder said that it failed */
  #failBy(task: TaskRecord, error: TaskError, nowMs: number): TaskRecord {
    this.#losses.recordTaskFailure(
      task,
      "task_failure",
      `${task.holder} failed ${task.id}: ${error.message}`,
      nowMs,
    );
    const noted: TaskRecord = { ...task, error, failureCount: task.failureCount + 1 };
    if (!error.retryable) {
      const next = failed(noted, error, nowMs);
      this.#ledger.saveTask(task, next);
      this.#ledger.attempts.end(task.id, task.attempt, "reported_failed", nowMs);
      this.#losses.ended(next, "task.failed", nowMs);
      return next;
    }
    // Its agent was given up before the report came: that loss is counted already.
    if (!isHeld(task.status)) {
      this.#ledger.saveTask(task, noted);
      this.#ledger.attempts.end(task.id, task.attempt, "reported_failed", nowMs);
      return noted;
    }
    const notBeforeMs = nowMs + backoffMs(noted.failureCount, TASK_RETRY);
    const next = this.#losses.lose(
      noted,
      { reason: "task_failed", outcome: "reported_failed", message: `failed: ${error.message}`, notBeforeMs },
      nowMs,
    );
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
    return next;
  }

  /** A completed task speaks for its agent. */
  #credit(task: TaskRecord, nowMs: number): void {
    const agent = task.holder === null ? undefined : this.#ledger.roster.find(task.holder);
    if (agent === undefined) return;
    const tookMs = nowMs - (task.startedAtMs ?? task.assignedAtMs ?? nowMs);
    this.#ledger.roster.save({
      ...agent,
      tasksCompleted: agent.tasksCompleted + 1,
      taskMsTotal: agent.taskMsTotal + tookMs,
      experience: withCompletion(agent.experience, task.type, tookMs, nowMs),
      track: withEvent(agent.track, "task_completed", nowMs),
    });
  }
}

function speaksForItself({ agent_id }: { agent_id: string }, speaker: Speaker): boolean {
  return speaker === null || speaker.agentId === agent_id;
}
