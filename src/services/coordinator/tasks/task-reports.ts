/**
 * Reports of holders on their tasks: start, progress, completion, failure. The attempt decides whether a report counts
 * (see domain/task-lifecycle.ts). A report with an older attempt changes nothing and is answered with the current one;
 * its result may be stored (see late-results.ts).
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type {
  Task,
  TaskCompletion,
  TaskError,
  TaskFailure,
  TaskProgress,
  TaskResult,
  TaskStart,
} from "../../../contract/task.ts";
import { isLive } from "../../../domain/agent.ts";
import { backoffMs, TASK_RETRY } from "../../../domain/backoff.ts";
import { agentOf, mayActFor, type Principal } from "../../../domain/principal.ts";
import { isHeld, type TaskRecord } from "../../../domain/task.ts";
import {
  type AttemptState,
  attemptStateOf,
  completed,
  failed,
  progressed,
  started,
} from "../../../domain/task-lifecycle.ts";
import type { TaskReport } from "../../../protocol/object-calls.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AttemptLosses } from "../failover/attempt-loss.ts";
import { alreadyFinished, attemptEnded, noSuchTask, sessionExpired, staleAttempt } from "../refusals.ts";
import { taskView } from "../wire-views.ts";
import type { Completions } from "./completions.ts";
import type { LateResults } from "./late-results.ts";
import type { SlotFiller } from "./slot-filler.ts";
import type { TaskEndings } from "./task-endings.ts";

/** A report on one task, and its sender. */
export type Report<Body extends TaskStart> = { taskId: string; body: Body; principal: Principal };

/** The task of a report, and the state of its attempt. */
type Found = { task: TaskRecord; attempt: AttemptState };

type Needs = Pick<
  ClusterContext,
  "agents" | "attempts" | "tasks" | "taskViews" | "wakeups" | "recordEvent" | "saveTask"
>;
type Parts = {
  slots: Pick<SlotFiller, "fill">;
  losses: Pick<AttemptLosses, "lose" | "recordTaskFailure">;
  endings: Pick<TaskEndings, "announce">;
  completions: Pick<Completions, "complete">;
  lateResults: Pick<LateResults, "receive">;
};

export class TaskReports {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  start(report: Report<TaskStart>, nowMs: number): Outcome<Task> {
    return this.#updateHeld(report, (task) => started(task, nowMs), nowMs);
  }

  progress(report: Report<TaskProgress>, nowMs: number): Outcome<Task> {
    return this.#updateHeld(report, (task) => progressed(task, report.body.progress, nowMs), nowMs);
  }

  complete(report: Report<TaskCompletion>, nowMs: number): Outcome<Task> {
    const found = this.#find(report);
    return found.ok ? viewOf(this.#complete(report, found.value, nowMs)) : found;
  }

  fail(report: Report<TaskFailure>, nowMs: number): Outcome<Task> {
    const { taskId, body, principal } = report;
    if (this.#isRepeatedFailure(taskId, body) && mayActFor(principal, body.agent_id)) {
      const task = this.#context.tasks.store.find(taskId);
      // The first answer is repeated, without the result of a later holder, which this agent must not see.
      if (task !== undefined) return ok({ ...this.#context.taskViews.view(task, nowMs), result: null });
    }
    const found = this.#find(report);
    if (!found.ok) return found;
    const { task, attempt } = found.value;
    if (attempt === "stale") return staleAttempt(task);
    if (attempt === "settled") return alreadyFinished(task);
    return ok(this.#context.taskViews.view(this.#fail(task, body.error, nowMs), nowMs));
  }

  /** An item of a batch: a failure if it has an `error`, else a completion. */
  settle({ task_id: taskId, result, error, ...holder }: TaskResult, principal: Principal, nowMs: number) {
    if (error !== undefined) return this.fail({ taskId, body: { ...holder, error }, principal }, nowMs);
    const body = { ...holder, ...(result === undefined ? {} : { result }) };
    return this.complete({ taskId, body, principal }, nowMs);
  }

  /** A report that came over a socket. */
  apply({ principal, frame }: TaskReport, nowMs: number): Outcome<Task> {
    const { task_id: taskId, attempt } = frame;
    const holder = { agent_id: principal.agentId, attempt };
    switch (frame.type) {
      case "task_start":
        return this.start({ taskId, body: holder, principal }, nowMs);
      case "task_progress":
        return this.progress({ taskId, body: { ...holder, progress: frame.progress }, principal }, nowMs);
      case "task_complete":
        return this.complete({ taskId, body: { ...holder, result: frame.result }, principal }, nowMs);
      case "task_fail":
        return this.fail({ taskId, body: { ...holder, error: frame.error }, principal }, nowMs);
    }
  }

  #find({ taskId, body, principal }: Report<TaskStart>): Outcome<Found> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (!mayActFor(principal, body.agent_id)) {
      return refuse("forbidden", "an agent can report on its own tasks only");
    }
    const attempt = this.#isOfEarlierIncarnation(taskId, body.attempt, principal)
      ? "stale"
      : attemptStateOf(task, body.agent_id, body.attempt);
    return ok({ task, attempt });
  }

  /** The report of this failure came before, and was counted. */
  #isRepeatedFailure(taskId: string, { agent_id, attempt: number }: TaskStart): boolean {
    const attempt = this.#context.attempts.find(taskId, number);
    return attempt?.agentId === agent_id && attempt.outcome === "reported_failed";
  }

  /**
   * The attempt was given to a later incarnation than the caller's. So when a task id is used again, long after its
   * first task was deleted, holders of the first task cannot report on the second.
   */
  #isOfEarlierIncarnation(taskId: string, number: number, principal: Principal): boolean {
    const caller = agentOf(principal);
    if (caller === null) return false;
    const attempt = this.#context.attempts.find(taskId, number);
    return attempt !== undefined && caller.incarnation < attempt.incarnation;
  }

  /** A start or a progress counts for a live holder only. Results are accepted from others too. */
  #updateHeld(
    report: Report<TaskStart>,
    update: (task: TaskRecord) => TaskRecord,
    nowMs: number,
  ): Outcome<Task> {
    const found = this.#find(report);
    if (!found.ok) return found;
    const refusal = this.#refuseUnlessHeld(found.value, report.principal);
    if (refusal !== null) return refusal;
    const { task } = found.value;
    return ok(taskView(this.#save(task, update(task), nowMs)));
  }

  #refuseUnlessHeld({ task, attempt }: Found, principal: Principal): Outcome<never> | null {
    if (attempt === "stale") return staleAttempt(task);
    if (attempt === "settled") return alreadyFinished(task);
    if (attempt === "last") return attemptEnded(task);
    const caller = agentOf(principal);
    if (caller === null) return null;
    const agent = this.#context.agents.find(caller.agentId);
    if (agent?.incarnation === caller.incarnation && isLive(agent.status)) return null;
    return sessionExpired(agent, caller, { task_id: task.id });
  }

  #save(before: TaskRecord, after: TaskRecord, nowMs: number): TaskRecord {
    if (after === before) return before;
    this.#context.saveTask(before, after);
    if (before.status === "assigned") {
      this.#context.recordEvent(
        { type: "task.started", subject: after.id, data: { agent_id: after.holder, attempt: after.attempt } },
        nowMs,
      );
      if (after.holder !== null) this.#context.wakeups.started(after.holder);
    }
    return after;
  }

  #complete(
    { body, principal }: Report<TaskCompletion>,
    { task, attempt }: Found,
    nowMs: number,
  ): Outcome<TaskRecord> {
    if (attempt === "stale" || attempt === "settled") {
      const refusal = attempt === "stale" ? staleAttempt(task) : alreadyFinished(task);
      return this.#parts.lateResults.receive({ task, body, principal, refusal }, nowMs);
    }
    const done = completed(task, body.result ?? null, nowMs);
    const tookMs = nowMs - (task.startedAtMs ?? task.assignedAtMs ?? nowMs);
    return ok(this.#parts.completions.complete({ before: task, done, tookMs, isLate: false }, nowMs));
  }

  /** @returns the task after its holder's report of a failure */
  #fail(task: TaskRecord, error: TaskError, nowMs: number): TaskRecord {
    const message = `${task.holder} failed ${task.id}: ${error.message}`;
    this.#parts.losses.recordTaskFailure(task, { failureType: "task_failure", message }, nowMs);
    const withError: TaskRecord = { ...task, error, failureCount: task.failureCount + 1 };
    if (!error.retryable) {
      const next = failed(withError, error, nowMs);
      this.#context.saveTask(task, next);
      this.#context.attempts.end(task, "reported_failed", nowMs);
      this.#parts.endings.announce(next, { type: "task.failed" }, nowMs);
      return next;
    }
    // The agent was declared failed before the report came: that loss is counted already.
    if (!isHeld(task.status)) {
      this.#context.saveTask(task, withError);
      this.#context.attempts.end(task, "reported_failed", nowMs);
      return withError;
    }
    const notBeforeMs = nowMs + backoffMs(withError.failureCount, TASK_RETRY);
    const loss = { outcome: "reported_failed", message: `failed: ${error.message}`, notBeforeMs } as const;
    const next = this.#parts.losses.lose(withError, { reason: "task_failed", ...loss }, nowMs);
    if (task.holder !== null) this.#parts.slots.fill(task.holder, nowMs);
    return next;
  }
}

function viewOf(outcome: Outcome<TaskRecord>): Outcome<Task> {
  return outcome.ok ? ok(taskView(outcome.value)) : outcome;
}
