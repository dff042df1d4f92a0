/**
 * What follows when a holder loses its task: by failing, by failing the task, or by being too
 * slow. The task moves on, unless it moved too often: then it is failed for good, on record.
 */
import type { EventDraft } from "../../../contract/event.ts";
import { instant } from "../../../contract/instant.ts";
import type { RevocationReason } from "../../../contract/socket.ts";
import type { TimeoutKind } from "../../../domain/deadlines.ts";
import { withEvent } from "../../../domain/reliability.ts";
import { isHeld, type TaskRecord } from "../../../domain/task.ts";
import { failed, lost, madePending } from "../../../domain/task-lifecycle.ts";
import { withTaskFailure } from "../../../domain/task-type-performance.ts";
import type { AttemptOutcome } from "../../../storage/coordinator/attempts.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";
import { failureRecord } from "./failure-record.ts";

const TIMEOUT_WORDS: Record<TimeoutKind, string> = {
  start_timeout: "did not start in time",
  timeout: "did not finish in time",
  progress_timeout: "reported no progress in time",
};

/** Why a task's holder lost it. */
export type AttemptLoss = {
  reason: "agent_failed" | "task_failed" | "task_timed_out";
  outcome: AttemptOutcome;
  /** For people: what happened. */
  message: string;
  notBeforeMs: number | null;
};

/** How a task's end is noted; `data` beside who had it, under which attempt. */
export type EndEvent = {
  type: "task.completed" | "task.failed" | "task.cancelled";
  data?: EventDraft["data"];
};

export class AttemptLosses {
  readonly #context: ClusterContext;
  readonly #placement: Placement;

  constructor(context: ClusterContext, placement: Placement) {
    this.#context = context;
    this.#placement = placement;
  }

  /**
   * A holder lost its task. Places it anew, unless it was moved too often: then it is failed
   * for good, and that is a failure on record.
   * @returns the task as it stands then
   */
  lose(task: TaskRecord, loss: AttemptLoss, nowMs: number): TaskRecord {
    const { config } = this.#context.settings;
    this.#context.attempts.end(task.id, task.attempt, loss.outcome, nowMs);
    const moving = lost(task, config.failover_config.preserve_task_priority);
    if (moving.reassignmentCount > config.failover_config.max_reassignment_attempts) {
      return this.#giveUp(task, loss, nowMs);
    }
    if (loss.notBeforeMs !== null) {
      const waiting = madePending(
        moving,
        `${loss.message}; tried again at ${instant(loss.notBeforeMs)}`,
        loss.notBeforeMs,
      );
      this.#context.saveTask(task, waiting);
      this.#context.recordEvent(
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
    this.recordTaskFailure(task, "task_timeout", `${task.holder} ${message} on ${task.id}`, nowMs);
    this.tellHolder(task, "timed_out", nowMs);
    this.lose(task, { reason: "task_timed_out", outcome: "timed_out", message, notBeforeMs: null }, nowMs);
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
  }

  /** Records a failure that is a task's, not its agent's. */
  recordTaskFailure(
    task: TaskRecord,
    failureType: "task_failure" | "task_timeout",
    message: string,
    nowMs: number,
  ): void {
    const agent = task.holder === null ? undefined : this.#context.agents.find(task.holder);
    if (agent !== undefined) {
      this.#context.agents.save({
        ...agent,
        tasksFailed: agent.tasksFailed + 1,
        reliabilityHistory: withEvent(agent.reliabilityHistory, "task_failed", nowMs),
        performance: withTaskFailure(agent.performance, task.type, nowMs),
      });
    }
    const failure = failureRecord(
      {
        id: this.#context.host.randomId(),
        failureType,
        severity: "warning",
        message,
        details: { task_id: task.id, task_type: task.type, attempt: task.attempt },
        agent: agent ?? null,
        taskCount: agent === undefined ? 0 : this.#context.agents.openTasksOf(agent.id),
        lastSignMs: null,
      },
      nowMs,
    );
    this.#context.recordFailure(failure, { taskId: task.id }, nowMs);
  }

  /** A task reached its end: it is announced, and its holder's slot is free. */
  ended(task: TaskRecord, { type, data = {} }: EndEvent, nowMs: number): void {
    const who = { agent_id: task.holder, attempt: task.attempt };
    this.#context.recordEvent({ type, subject: task.id, data: { ...who, ...data } }, nowMs);
    this.#context.announceEnd(task.id);
    // One that never moved has had no failure of its own to be told of; a failed one waits for a person.
    if (task.status !== "failed" && task.reassignmentCount > 0) this.#context.reportSettled(task.id, nowMs);
    if (task.holder !== null) this.#placement.fill(task.holder, nowMs);
  }

  /** The attempt is taken from its holder, which may still be working on it. */
  tellHolder(task: TaskRecord, reason: RevocationReason, nowMs: number): void {
    if (!isHeld(task.status) || task.holder === null) return;
    this.#context.wakeups.revoked(task.holder, { taskId: task.id, attempt: task.attempt, reason }, nowMs);
  }

  #giveUp(task: TaskRecord, loss: AttemptLoss, nowMs: number): TaskRecord {
    const limit = this.#context.settings.config.failover_config.max_reassignment_attempts;
    const message = `gave up after ${limit} reassignments; last: ${loss.message}`;
    const next = failed(task, { message, retryable: true }, nowMs);
    this.#context.saveTask(task, next);
    this.#recordGivenUp(next, message, nowMs);
    this.ended(next, { type: "task.failed" }, nowMs);
    return next;
  }

  #recordGivenUp(task: TaskRecord, message: string, nowMs: number): void {
    this.#context.recordFailure(
      failureRecord(
        {
          id: this.#context.host.randomId(),
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
      { taskId: task.id },
      nowMs,
    );
  }
}
