/** What producers and operators do with tasks: submit, cancel, retry, name backups. */
import type { Decision } from "../../../contract/decision.ts";
import { msOrNull } from "../../../contract/instant.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { Placement as PlacementAnswer, Task, TaskSubmission } from "../../../contract/task.ts";
import { fingerprint } from "../../../domain/fingerprint.ts";
import { isFinished, isHeld, type TaskRecord } from "../../../domain/task.ts";
import { cancelled, retried } from "../../../domain/task-lifecycle.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AttemptLosses } from "../failover/attempt-loss.ts";
import { finishedAlready, noSuchTask } from "../refusals.ts";
import { taskView } from "../views.ts";
import type { Placement } from "./placement.ts";

/** Unfinished tasks a cluster holds at most. */
const OPEN_TASK_LIMIT = 100_000;

export class TaskCommands {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #losses: AttemptLosses;

  constructor(context: ClusterContext, placement: Placement, losses: AttemptLosses) {
    this.#context = context;
    this.#placement = placement;
    this.#losses = losses;
  }

  submit(submission: TaskSubmission, nowMs: number): Outcome<PlacementAnswer & { isNew: boolean }> {
    const id = submission.id ?? this.#context.host.randomId();
    const { id: _, ...content } = submission;
    const print = fingerprint(content);
    const known = this.#context.tasks.store.find(id);
    if (known !== undefined) {
      if (known.fingerprint !== print) {
        return refuse("task_exists", "a task with this id and other content exists; choose another id", {
          task_status: known.status,
        });
      }
      return ok({ task: taskView(known), decision: this.#lastDecision(known), isNew: false });
    }
    const full = this.#refuseWhenFull();
    if (full !== null) return full;
    const task = this.#newTask(id, print, submission, nowMs);
    this.#context.recordEvent(
      { type: "task.submitted", subject: id, data: { type: task.type, priority: task.priority } },
      nowMs,
    );
    const placed = this.#placement.place(null, task, "submitted", nowMs);
    return ok({ task: taskView(placed.task), decision: placed.decision, isNew: true });
  }

  cancel(taskId: string, nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (task.status === "cancelled") return ok(taskView(task));
    if (isFinished(task.status)) return finishedAlready(task);
    const next = cancelled(task, nowMs);
    this.#context.saveTask(task, next);
    if (isHeld(task.status)) this.#context.attempts.end(task.id, task.attempt, "cancelled", nowMs);
    this.#losses.tellHolder(task, "cancelled", nowMs);
    this.#losses.ended(next, { type: "task.cancelled" }, nowMs);
    return ok(taskView(next));
  }

  retry(taskId: string, nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (task.status !== "failed") {
      return refuse("invalid_transition", `only a failed task can be retried; this one is ${task.status}`, {
        task_status: task.status,
      });
    }
    const full = this.#refuseWhenFull();
    if (full !== null) return full;
    this.#context.recordEvent({ type: "task.retried", subject: task.id, data: {} }, nowMs);
    this.#context.reportSettled(task.id, nowMs);
    return ok(taskView(this.#placement.place(task, retried(task), "operator", nowMs).task));
  }

  setBackups(taskId: string, backups: readonly string[]): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (isFinished(task.status)) return finishedAlready(task);
    const next = { ...task, backups: [...backups], hasOwnBackups: true };
    this.#context.saveTask(task, next);
    return ok(taskView(next));
  }

  #refuseWhenFull(): Outcome<never> | null {
    if (this.#context.tasks.openCount >= OPEN_TASK_LIMIT) {
      return refuse(
        "limit_reached",
        `a cluster holds at most ${OPEN_TASK_LIMIT} unfinished tasks; wait or use another cluster`,
      );
    }
    if (this.#context.isFull) {
      return refuse(
        "limit_reached",
        "the cluster's storage is full; wait, shorten the retention, or use another cluster",
      );
    }
    return null;
  }

  #newTask(id: string, print: string, submission: TaskSubmission, nowMs: number): TaskRecord {
    const defaults = this.#context.settings.config.task_config;
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
      hasOwnBackups: submission.backups !== undefined,
      group: submission.group ?? null,
      requiredLabels: submission.required_labels ?? {},
      timeoutMs: msOrNull(submission.timeout_seconds ?? defaults.default_timeout_seconds),
      progressTimeoutMs: msOrNull(
        submission.progress_timeout_seconds ?? defaults.default_progress_timeout_seconds,
      ),
      startTimeoutMs: msOrNull(submission.start_timeout_seconds ?? defaults.default_start_timeout_seconds),
      lateResultCount: 0,
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
      extendedAtMs: 0,
      extensions: 0,
      notBeforeMs: null,
      failureCount: 0,
      decisionCount: 0,
    };
  }

  #lastDecision(task: TaskRecord): Decision | null {
    return this.#context.decisions.list(task.id, task.decisionCount - 1, 1)[0]?.decision ?? null;
  }
}
