/**
 * Attempts that were lost: the holder failed, failed the task, or was too slow. The task is placed again. A task that was
 * reassigned too often fails for good, and that is a recorded failure.
 */
import { instant } from "../../../contract/instant.ts";
import type { TimeoutKind } from "../../../domain/deadlines.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { failed, lost, madePending } from "../../../domain/task-lifecycle.ts";
import { withTaskFailure } from "../../../domain/task-type-performance.ts";
import type { AttemptOutcome } from "../../../storage/coordinator/attempts.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";
import type { SlotFiller } from "../tasks/slot-filler.ts";
import type { TaskEndings } from "../tasks/task-endings.ts";
import { failureRecord } from "./failure-record.ts";

const TIMEOUT_WORDS: Record<TimeoutKind, string> = {
  start_timeout: "did not start in time",
  timeout: "did not finish in time",
  progress_timeout: "reported no progress in time",
};

/** Why a task's holder lost it. */
export type AttemptLoss = {
  reason: "agent_failed" | "agent_restarted" | "task_failed" | "task_timed_out";
  outcome: AttemptOutcome;
  /** For people: what happened. */
  message: string;
  notBeforeMs: number | null;
  /** The holder gets the task again, although the loss counts. */
  staysWithHolder?: boolean;
};

/** @property message what happened, for people */
export type TaskFailureFacts = { failureType: "task_failure" | "task_timeout"; message: string };

type Needs = Pick<
  ClusterContext,
  "agents" | "attempts" | "host" | "settings" | "wakeups" | "recordEvent" | "recordFailure" | "saveTask"
>;
type Parts = {
  placement: Pick<Placement, "giveAgain" | "place">;
  slots: Pick<SlotFiller, "fill">;
  endings: Pick<TaskEndings, "announce">;
};

export class AttemptLosses {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /**
   * A holder lost its task. Places the task again, unless it was reassigned too often: then it fails for good.
   * @returns the task afterwards
   */
  lose(task: TaskRecord, loss: AttemptLoss, nowMs: number): TaskRecord {
    const { config } = this.#context.settings;
    this.#context.attempts.end(task, loss.outcome, nowMs);
    const unplaced = lost(task, config.failover_config.preserve_task_priority);
    if (unplaced.reassignmentCount > config.failover_config.max_reassignment_attempts) {
      return this.#giveUp(task, loss, nowMs);
    }
    if (loss.staysWithHolder && task.holder !== null) {
      // The holder is not one to avoid.
      const kept = { ...unplaced, previousAgents: task.previousAgents };
      return this.#parts.placement.giveAgain({ before: task, task: kept }, task.holder, nowMs);
    }
    if (loss.notBeforeMs !== null) {
      const reason = `${loss.message}; tried again at ${instant(loss.notBeforeMs)}`;
      const pending = madePending(unplaced, reason, loss.notBeforeMs);
      this.#context.saveTask(task, pending);
      this.#context.recordEvent({ type: "task.pending", subject: task.id, data: { reason } }, nowMs);
      return pending;
    }
    return this.#parts.placement.place({ before: task, task: unplaced, reason: loss.reason }, nowMs).task;
  }

  /** The holder was too slow: it loses the task, and stays active. */
  timeOut(task: TaskRecord, kind: TimeoutKind, nowMs: number): void {
    const words = `${TIMEOUT_WORDS[kind]} (attempt ${task.attempt})`;
    const message = `${task.holder} ${words} on ${task.id}`;
    this.recordTaskFailure(task, { failureType: "task_timeout", message }, nowMs);
    this.#context.wakeups.revokeAttempt(task, "timed_out", nowMs);
    const loss = { outcome: "timed_out", message: words, notBeforeMs: null } as const;
    this.lose(task, { reason: "task_timed_out", ...loss }, nowMs);
    if (task.holder !== null) this.#parts.slots.fill(task.holder, nowMs);
  }

  /** Records a failure of the task, not of its agent. */
  recordTaskFailure(task: TaskRecord, { failureType, message }: TaskFailureFacts, nowMs: number): void {
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

  #giveUp(task: TaskRecord, loss: AttemptLoss, nowMs: number): TaskRecord {
    const limit = this.#context.settings.config.failover_config.max_reassignment_attempts;
    const message = `gave up after ${limit} reassignments; last: ${loss.message}`;
    const next = failed(task, { message, retryable: true }, nowMs);
    this.#context.saveTask(task, next);
    this.#recordGivenUp(next, message, nowMs);
    this.#parts.endings.announce(next, { type: "task.failed" }, nowMs);
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
