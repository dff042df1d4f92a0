/** Commands of producers and operators: submit, cancel and retry tasks, and set their backups. */

import { msOrNull } from "../../../contract/instant.ts";
import type { Decision } from "../../../contract/placement/decision.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { Placement as PlacementAnswer, Task, TaskSubmission } from "../../../contract/task.ts";
import { fingerprint } from "../../../domain/fingerprint.ts";
import { isFinished, isHeld, newTask, type TaskContent, type TaskRecord } from "../../../domain/task.ts";
import { cancelled, retried } from "../../../domain/task-lifecycle.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { alreadyFinished, noSuchTask } from "../refusals.ts";
import { taskView } from "../wire-views.ts";
import type { Placement } from "./placement.ts";
import type { TaskEndings } from "./task-endings.ts";

/** Unfinished tasks of a cluster at most. */
const OPEN_TASK_LIMIT = 100_000;

type Needs = Pick<
  ClusterContext,
  | "attempts"
  | "decisions"
  | "host"
  | "isFull"
  | "settings"
  | "tasks"
  | "taskViews"
  | "wakeups"
  | "recordEvent"
  | "reportSettled"
  | "saveTask"
>;
type Parts = { placement: Pick<Placement, "place">; endings: Pick<TaskEndings, "announce"> };

export class TaskCommands {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  submit(submission: TaskSubmission, nowMs: number): Outcome<PlacementAnswer & { isNew: boolean }> {
    const id = submission.id ?? this.#context.host.randomId();
    const { id: _, ...content } = submission;
    const print = fingerprint(content);
    const known = this.#context.tasks.store.find(id);
    if (known !== undefined) {
      if (known.fingerprint !== print) {
        return refuse("task_exists", "a task with this id and different content exists; choose another id", {
          task_status: known.status,
        });
      }
      return ok({
        task: this.#context.taskViews.view(known, nowMs),
        decision: this.#lastDecision(known),
        isNew: false,
      });
    }
    const full = this.#refuseWhenFull();
    if (full !== null) return full;
    const task = newTask({ ...this.#contentOf(id, print, submission), createdAtMs: nowMs });
    this.#context.recordEvent(
      { type: "task.submitted", subject: id, data: { type: task.type, priority: task.priority } },
      nowMs,
    );
    const placed = this.#parts.placement.place({ before: null, task, reason: "submitted" }, nowMs);
    return ok({
      task: this.#context.taskViews.view(placed.task, nowMs),
      decision: placed.decision,
      isNew: true,
    });
  }

  cancel(taskId: string, nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (task.status === "cancelled") return ok(taskView(task));
    if (isFinished(task.status)) return alreadyFinished(task);
    const next = cancelled(task, nowMs);
    this.#context.saveTask(task, next);
    if (isHeld(task.status)) this.#context.attempts.end(task, "cancelled", nowMs);
    this.#context.wakeups.revokeAttempt(task, "cancelled", nowMs);
    this.#parts.endings.announce(next, { type: "task.cancelled" }, nowMs);
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
    const placed = this.#parts.placement.place(
      { before: task, task: retried(task), reason: "operator" },
      nowMs,
    );
    return ok(this.#context.taskViews.view(placed.task, nowMs));
  }

  setBackups(taskId: string, backups: readonly string[], nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    if (isFinished(task.status)) return alreadyFinished(task);
    const next = { ...task, backups: [...backups], hasOwnBackups: true };
    this.#context.saveTask(task, next);
    return ok(this.#context.taskViews.view(next, nowMs));
  }

  #refuseWhenFull(): Outcome<never> | null {
    if (this.#context.tasks.openCount >= OPEN_TASK_LIMIT) {
      return refuse(
        "limit_reached",
        `a cluster has at most ${OPEN_TASK_LIMIT} unfinished tasks; wait, or use another cluster`,
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

  #contentOf(id: string, print: string, submission: TaskSubmission): Omit<TaskContent, "createdAtMs"> {
    const defaults = this.#context.settings.config.task_config;
    return {
      id,
      fingerprint: print,
      type: submission.type,
      priority: submission.priority,
      data: submission.data ?? null,
      backups: submission.backups ?? [],
      hasOwnBackups: submission.backups !== undefined,
      group: submission.group ?? null,
      requiredLabels: submission.required_labels ?? {},
      timeoutMs: msOrNull(submission.timeout_seconds ?? defaults.default_timeout_seconds),
      progressTimeoutMs: msOrNull(
        submission.progress_timeout_seconds ?? defaults.default_progress_timeout_seconds,
      ),
      startTimeoutMs: msOrNull(submission.start_timeout_seconds ?? defaults.default_start_timeout_seconds),
      lateResultPolicy: submission.late_result_policy ?? defaults.late_result_policy,
    };
  }

  #lastDecision(task: TaskRecord): Decision | null {
    return this.#context.decisions.firstAfter(task.id, task.decisionCount - 1) ?? null;
  }
}
