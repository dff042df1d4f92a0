/**
 * What holders report of their tasks: start, progress, completion, failure. Whether a report
 * counts is decided by the attempt (see task-life); a call with an older one changes nothing
 * and is told what is current, but for a result, which may be kept (see late-results).
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
import { finishedAlready, noSuchTask, staleAttempt, takenAway } from "../refusals.ts";
import { taskView } from "../views.ts";
import type { Completions } from "./completions.ts";
import type { LateResults } from "./late-results.ts";
import type { Placement } from "./placement.ts";

type Counted = Exclude<AttemptState, "stale">;

/** What becomes of a report that no longer counts, and would be refused like this. */
type Late = (task: TaskRecord, refused: Outcome<never>) => Outcome<TaskRecord>;

const worthless: Late = (_, refused) => refused;

export class TaskReports {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #losses: AttemptLosses;
  readonly #completions: Completions;
  readonly #lateResults: LateResults;

  constructor(
    context: ClusterContext,
    placement: Placement,
    losses: AttemptLosses,
    completions: Completions,
    lateResults: LateResults,
  ) {
    this.#context = context;
    this.#placement = placement;
    this.#losses = losses;
    this.#completions = completions;
    this.#lateResults = lateResults;
  }

  start(taskId: string, report: TaskStart, principal: Principal, nowMs: number): Outcome<Task> {
    return this.#report(taskId, report, principal, worthless, (task, standing) => {
      return (
        this.#refuseUnlessHeld(task, standing, principal) ?? ok(this.#keep(task, started(task, nowMs), nowMs))
      );
    });
  }

  progress(taskId: string, report: TaskProgress, principal: Principal, nowMs: number): Outcome<Task> {
    return this.#report(taskId, report, principal, worthless, (task, standing) => {
      return (
        this.#refuseUnlessHeld(task, standing, principal) ??
        ok(this.#keep(task, progressed(task, report.progress, nowMs), nowMs))
      );
    });
  }

  complete(taskId: string, report: TaskCompletion, principal: Principal, nowMs: number): Outcome<Task> {
    const late: Late = (task, refused) => this.#lateResults.came(task, report, principal, refused, nowMs);
    return this.#report(taskId, report, principal, late, (task, standing) => {
      if (standing === "settled") return late(task, finishedAlready(task));
      const done = completed(task, report.result ?? null, nowMs);
      const tookMs = nowMs - (task.startedAtMs ?? task.assignedAtMs ?? nowMs);
      return ok(this.#completions.complete(task, done, { tookMs, isLate: false }, nowMs));
    });
  }

  fail(taskId: string, report: TaskFailure, principal: Principal, nowMs: number): Outcome<Task> {
    if (this.#isRepeatedFailure(taskId, report) && mayActFor(principal, report.agent_id)) {
      const task = this.#context.tasks.store.find(taskId);
      // Answered as the first time, yet what a later holder made of it is not this one's to see.
      if (task !== undefined) return ok({ ...taskView(task), result: null });
    }
    return this.#report(taskId, report, principal, worthless, (task, standing) => {
      if (standing === "settled") return finishedAlready(task);
      return ok(this.#failBy(task, report.error, nowMs));
    });
  }

  /** Of a batch: a completion, or a failure if there is an `error`. */
  settle(
    { task_id, result, error, ...holder }: TaskResult,
    principal: Principal,
    nowMs: number,
  ): Outcome<Task> {
    if (error !== undefined) return this.fail(task_id, { ...holder, error }, principal, nowMs);
    return this.complete(
      task_id,
      { ...holder, ...(result === undefined ? {} : { result }) },
      principal,
      nowMs,
    );
  }

  /** One that came over a socket. */
  apply({ principal, frame }: TaskReport, nowMs: number): Outcome<Task> {
    const { task_id: taskId, attempt } = frame;
    const holder = { agent_id: principal.agentId, attempt };
    switch (frame.type) {
      case "task_start":
        return this.start(taskId, holder, principal, nowMs);
      case "task_progress":
        return this.progress(taskId, { ...holder, progress: frame.progress }, principal, nowMs);
      case "task_complete":
        return this.complete(taskId, { ...holder, result: frame.result }, principal, nowMs);
      case "task_fail":
        return this.fail(taskId, { ...holder, error: frame.error }, principal, nowMs);
    }
  }

  /**
   * Finds the task and what the report is worth; a stale one is refused with what is current.
   * @param late what becomes of a stale one: it may be of worth all the same
   */
  #report(
    taskId: string,
    { agent_id, attempt }: TaskStart,
    principal: Principal,
    late: Late,
    count: (task: TaskRecord, standing: Counted) => Outcome<TaskRecord>,
  ): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (!mayActFor(principal, agent_id)) {
      return refuse("forbidden", "an agent reports for itself alone");
    }
    const standing = this.#isOfEarlierLife(taskId, attempt, principal)
      ? "stale"
      : attemptStateOf(task, agent_id, attempt);
    const counted = standing === "stale" ? late(task, staleAttempt(task)) : count(task, standing);
    return counted.ok ? ok(taskView(counted.value)) : counted;
  }

  /** The report of a failure came before, and was counted. */
  #isRepeatedFailure(taskId: string, { agent_id, attempt }: TaskStart): boolean {
    const given = this.#context.attempts.find(taskId, attempt);
    return given?.agentId === agent_id && given.outcome === "reported_failed";
  }

  /**
   * The attempt was given to a later incarnation than the one that speaks. So a task id that
   * is used again, long after its first task was dropped, is safe from the first one's holders.
   */
  #isOfEarlierLife(taskId: string, attempt: number, principal: Principal): boolean {
    const caller = agentOf(principal);
    if (caller === null) return false;
    const given = this.#context.attempts.find(taskId, attempt);
    return given !== undefined && caller.incarnation < given.incarnation;
  }

  /** Starting and getting on is for holders that live; results are taken from others too. */
  #refuseUnlessHeld(task: TaskRecord, standing: Counted, principal: Principal): Outcome<never> | null {
    if (standing === "settled") return finishedAlready(task);
    if (standing === "last") return takenAway(task);
    const caller = agentOf(principal);
    if (caller === null) return null;
    const agent = this.#context.agents.find(caller.agentId);
    if (agent?.incarnation === caller.incarnation && isLive(agent.status)) return null;
    return refuse("session_expired", "this incarnation is over; register again", {
      task_id: task.id,
    });
  }

  #keep(before: TaskRecord, after: TaskRecord, nowMs: number): TaskRecord {
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
      this.#context.saveTask(task, next);
      this.#context.attempts.end(task.id, task.attempt, "reported_failed", nowMs);
      this.#losses.ended(next, { type: "task.failed" }, nowMs);
      return next;
    }
    // Its agent was given up before the report came: that loss is counted already.
    if (!isHeld(task.status)) {
      this.#context.saveTask(task, noted);
      this.#context.attempts.end(task.id, task.attempt, "reported_failed", nowMs);
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
}
