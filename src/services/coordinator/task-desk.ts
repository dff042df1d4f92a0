/**
 * What producers and agents do with tasks: submit, start, progress, complete, fail, cancel,
 * retry. Whether a report counts is decided by the attempt (see task-life); a call with an
 * older one changes nothing and is told what is current.
 */

import type { Decision } from "../../contract/decision.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type {
  Placement as PlacementAnswer,
  Task,
  TaskCompletion,
  TaskError,
  TaskFailure,
  TaskProgress,
  TaskResult,
  TaskStart,
  TaskSubmission,
} from "../../contract/task.ts";
import { backoffMs, TASK_RETRY } from "../../domain/backoff.ts";
import { fingerprint } from "../../domain/fingerprint.ts";
import { withEvent } from "../../domain/reliability.ts";
import { isFinished, isHeld, type TaskRecord } from "../../domain/task.ts";
import type { TimeoutKind } from "../../domain/task-deadline.ts";
import {
  begun,
  cancelled,
  completed,
  failed,
  lost,
  parked,
  progressed,
  retried,
  type Standing,
  standingOf,
} from "../../domain/task-life.ts";
import type { AttemptOutcome } from "../../storage/coordinator/attempts.ts";
import { instant, msOrNull } from "../instant.ts";
import { failureRecord } from "./failures.ts";
import type { Ledger } from "./ledger.ts";
import type { Placement } from "./placement.ts";
import { noSuchTask } from "./refusals.ts";
import { taskView } from "./views.ts";

/** Who speaks, as the token says; null for an operator. */
export type Speaker = { agentId: string; incarnation: number } | null;

/** Unfinished tasks a cluster holds at most. */
const OPEN_TASK_LIMIT = 100_000;

const TIMEOUT_WORDS: Record<TimeoutKind, string> = {
  start_timeout: "did not start in time",
  timeout: "did not finish in time",
  progress_timeout: "reported no progress in time",
};

/** Why a task's holder lost it. */
export type Loss = {
  reason: "agent_failed" | "task_failed" | "task_timed_out";
  outcome: AttemptOutcome;
  /** For people: what happened. */
  message: string;
  notBeforeMs: number | null;
};

export class TaskDesk {
  readonly #ledger: Ledger;
  readonly #placement: Placement;

  constructor(ledger: Ledger, placement: Placement) {
    this.#ledger = ledger;
    this.#placement = placement;
  }

  submit(submission: TaskSubmission, nowMs: number): Outcome<PlacementAnswer & { isNew: boolean }> {
    const id = submission.id ?? this.#ledger.host.randomId();
    const { id: _, ...content } = submission;
    const print = fingerprint(content);
    const known = this.#ledger.tasks.store.find(id);
    if (known !== undefined) {
      if (known.fingerprint !== print) {
        return refuse("task_exists", "a task with this id and other content exists; choose another id", {
          task_status: known.status,
        });
      }
      return ok({ task: taskView(known), decision: this.#lastDecision(known), isNew: false });
    }
    if (this.#ledger.tasks.openCount >= OPEN_TASK_LIMIT) {
      return refuse(
        "limit_reached",
        `a cluster holds at most ${OPEN_TASK_LIMIT} unfinished tasks; wait or use another cluster`,
      );
    }
    const task = this.#newTask(id, print, submission, nowMs);
    this.#ledger.note(
      { type: "task.submitted", subject: id, data: { type: task.type, priority: task.priority } },
      nowMs,
    );
    const placed = this.#placement.place(null, task, "submitted", nowMs);
    return ok({ task: taskView(placed.task), decision: placed.decision, isNew: true });
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
      this.#ended(done, "task.completed", nowMs);
      return ok(done);
    });
  }

  fail(taskId: string, report: TaskFailure, speaker: Speaker, nowMs: number): Outcome<Task> {
    const attempt = this.#ledger.attempts.find(taskId, report.attempt);
    const isRepeated = attempt?.agentId === report.agent_id && attempt.outcome === "reported_failed";
    const repeated = isRepeated ? this.#ledger.tasks.store.find(taskId) : undefined;
    if (repeated !== undefined) return ok(taskView(repeated));
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

  cancel(taskId: string, nowMs: number): Outcome<Task> {
    const task = this.#ledger.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (task.status === "cancelled") return ok(taskView(task));
    if (isFinished(task.status)) return finishedAlready(task);
    const next = cancelled(task, nowMs);
    this.#ledger.saveTask(task, next);
    if (isHeld(task.status)) this.#ledger.attempts.end(task.id, task.attempt, "cancelled", nowMs);
    this.#tellHolder(task, nowMs);
    this.#ended(next, "task.cancelled", nowMs);
    return ok(taskView(next));
  }

  retry(taskId: string, nowMs: number): Outcome<Task> {
    const task = this.#ledger.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (task.status !== "failed") {
      return refuse("invalid_transition", `only a failed task can be retried; this one is ${task.status}`, {
        task_status: task.status,
      });
    }
    if (this.#ledger.tasks.openCount >= OPEN_TASK_LIMIT) {
      return refuse("limit_reached", `a cluster holds at most ${OPEN_TASK_LIMIT} unfinished tasks`);
    }
    this.#ledger.note({ type: "task.retried", subject: task.id, data: {} }, nowMs);
    return ok(taskView(this.#placement.place(task, retried(task), "operator", nowMs).task));
  }

  setBackups(taskId: string, backups: readonly string[]): Outcome<Task> {
    const task = this.#ledger.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (isFinished(task.status)) return finishedAlready(task);
    const next = { ...task, backups: [...backups] };
    this.#ledger.saveTask(task, next);
    return ok(taskView(next));
  }

  /**
   * A holder lost its task. Places it anew, unless it was moved too often: then it is failed
   * for good, and that is a failure on record.
   * @returns the task as it stands then
   */
  lose(task: TaskRecord, loss: Loss, nowMs: number): TaskRecord {
    const { config } = this.#ledger.settings;
    this.#ledger.attempts.end(task.id, task.attempt, loss.outcome, nowMs);
    const moving = lost(task, config.failover_config.preserve_task_priority);
    if (moving.reassignmentCount > config.failover_config.max_reassignment_attempts) {
      return this.#giveUp(task, loss, nowMs);
    }
    if (loss.notBeforeMs !== null) {
      const waiting = parked(
        moving,
        `${loss.message}; tried again at ${instant(loss.notBeforeMs)}`,
        loss.notBeforeMs,
      );
      this.#ledger.saveTask(task, waiting);
      this.#ledger.note(
        { type: "task.pending", subject: task.id, data: { reason: waiting.pendingReason } },
        nowMs,
      );
      return waiting;
    }
    return this.#placement.place(task, moving, loss.reason, nowMs).task;
  }

  /** The holder was too slow: it loses the task, not its standing. */
  timeOut(task: TaskRecord, kind: TimeoutKind, nowMs: number): void {
    const message = `${TIMEOUT_WORDS[kind]} (attempt ${task.attempt})`;
    this.#recordTaskFailure(task, "task_timeout", `${task.holder} ${message} on ${task.id}`, nowMs);
    this.#tellHolder(task, nowMs);
    this.lose(task, { reason: "task_timed_out", outcome: "timed_out", message, notBeforeMs: null }, nowMs);
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
  }

  /** Records a failure that is a task's, not its agent's. */
  #recordTaskFailure(
    task: TaskRecord,
    failureType: "task_failure" | "task_timeout",
    message: string,
    nowMs: number,
  ): void {
    const agent = task.holder === null ? undefined : this.#ledger.roster.find(task.holder);
    if (agent !== undefined) {
      this.#ledger.roster.save({
        ...agent,
        tasksFailed: agent.tasksFailed + 1,
        track: withEvent(agent.track, "task_failed", nowMs),
      });
    }
    const failure = failureRecord(
      {
        id: this.#ledger.host.randomId(),
        failureType,
        severity: "warning",
        message,
        details: { task_id: task.id, task_type: task.type, attempt: task.attempt },
        agent: agent ?? null,
        taskCount: agent === undefined ? 0 : this.#ledger.roster.openTasksOf(agent.id),
        lastSignMs: null,
      },
      nowMs,
    );
    this.#ledger.recordFailure(failure, nowMs);
  }

  #newTask(id: string, print: string, submission: TaskSubmission, nowMs: number): TaskRecord {
    const defaults = this.#ledger.settings.config.task_config;
    return {
      id,
      fingerprint: print,
      type: submission.type,
      priority: submission.priority,
      data: submission.data ?? null,
      status: "pending",
      holder: null,
      attempt: 0,
      reassignmentCount: 0,
      previousAgents: [],
      backups: submission.backups ?? [],
      group: submission.group ?? null,
      requiredLabels: submission.required_labels ?? {},
      timeoutMs: msOrNull(submission.timeout_seconds ?? defaults.default_timeout_seconds),
      progressTimeoutMs: msOrNull(
        submission.progress_timeout_seconds ?? defaults.default_progress_timeout_seconds,
      ),
      startTimeoutMs: msOrNull(submission.start_timeout_seconds ?? defaults.default_start_timeout_seconds),
      lateResultPolicy: submission.late_result_policy ?? defaults.late_result_policy,
      progress: null,
      result: null,
      error: null,
      pendingReason: null,
      createdAtMs: nowMs,
      assignedAtMs: null,
      startedAtMs: null,
      progressAtMs: null,
      finishedAtMs: null,
      deadlineAtMs: null,
      creditedAtMs: 0,
      credits: 0,
      notBeforeMs: null,
      failureCount: 0,
      decisionCount: 0,
    };
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
    if (speaker !== null && speaker.agentId !== agent_id) {
      return refuse("forbidden", "an agent reports for itself alone");
    }
    const standing = standingOf(task, agent_id, attempt);
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
    this.#recordTaskFailure(
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
      this.#ended(next, "task.failed", nowMs);
      return next;
    }
    // Its agent was given up before the report came: that loss is counted already.
    if (!isHeld(task.status)) {
      this.#ledger.saveTask(task, noted);
      this.#ledger.attempts.end(task.id, task.attempt, "reported_failed", nowMs);
      return noted;
    }
    const notBeforeMs = nowMs + backoffMs(noted.failureCount, TASK_RETRY);
    const next = this.lose(
      noted,
      { reason: "task_failed", outcome: "reported_failed", message: `failed: ${error.message}`, notBeforeMs },
      nowMs,
    );
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
    return next;
  }

  #giveUp(task: TaskRecord, loss: Loss, nowMs: number): TaskRecord {
    const limit = this.#ledger.settings.config.failover_config.max_reassignment_attempts;
    const message = `gave up after ${limit} reassignments; last: ${loss.message}`;
    const next = failed(task, { message, retryable: true }, nowMs);
    this.#ledger.saveTask(task, next);
    this.#recordGivenUp(next, message, nowMs);
    this.#ended(next, "task.failed", nowMs);
    return next;
  }

  #recordGivenUp(task: TaskRecord, message: string, nowMs: number): void {
    this.#ledger.recordFailure(
      failureRecord(
        {
          id: this.#ledger.host.randomId(),
          failureType: "max_reassignments_exceeded",
          severity: "error",
          message: `${task.id} ${message}`,
          details: { task_id: task.id, task_type: task.type, previous_agents: [...task.previousAgents] },
          agent: null,
          taskCount: 0,
          lastSignMs: null,
        },
        nowMs,
      ),
      nowMs,
    );
  }

  /** A completed task speaks for its agent. */
  #credit(task: TaskRecord, nowMs: number): void {
    const agent = task.holder === null ? undefined : this.#ledger.roster.find(task.holder);
    if (agent === undefined) return;
    this.#ledger.roster.save({
      ...agent,
      tasksCompleted: agent.tasksCompleted + 1,
      taskMsTotal: agent.taskMsTotal + (nowMs - (task.startedAtMs ?? task.assignedAtMs ?? nowMs)),
      track: withEvent(agent.track, "task_completed", nowMs),
    });
  }

  #ended(task: TaskRecord, eventType: string, nowMs: number): void {
    this.#ledger.note(
      { type: eventType, subject: task.id, data: { agent_id: task.holder, attempt: task.attempt } },
      nowMs,
    );
    this.#ledger.announceEnd(task.id);
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
  }

  /** The holder's list changed under it. */
  #tellHolder(task: TaskRecord, nowMs: number): void {
    if (!isHeld(task.status) || task.holder === null) return;
    this.#ledger.unit.afterCommit(this.#ledger.doorbells.changed(task.holder, nowMs));
  }

  #lastDecision(task: TaskRecord): Decision | null {
    return this.#ledger.decisions.list(task.id, task.decisionCount - 1, 1)[0]?.decision ?? null;
  }
}

function finishedAlready(task: TaskRecord): Outcome<never> {
  return refuse("invalid_transition", `the task is ${task.status}`, {
    task_status: task.status,
    attempt: task.attempt,
  });
}
