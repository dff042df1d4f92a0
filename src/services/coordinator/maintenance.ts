/**
 * The alarm-driven work of a coordinator: time-outs of tasks, deadlines of drains, retries after back-off, warnings of
 * tasks that wait for long, retention, repeated wake-ups, messages to send again, and work that a crash interrupted. A
 * late alarm, or a start under another boot id, is our own outage, and extends the deadlines.
 */

import { isLateAlarm, isRestart, mayBeLate, type PauseCause } from "../../domain/coordinator-outage.ts";
import { earliest, taskDeadline } from "../../domain/deadlines.ts";
import { extendedTask } from "../../domain/task-lifecycle.ts";
import type { Drains } from "./agents/drains.ts";
import type { ClusterContext } from "./cluster-context.ts";
import type { AttemptLosses } from "./failover/attempt-loss.ts";
import type { BackgroundWork } from "./sliced-work.ts";
import type { Placement } from "./tasks/placement.ts";
import type { QueueWarnings } from "./tasks/queue-warnings.ts";

/** Rows of each kind that one alarm changes at most; the rest follows in the next alarm. */
const ALARM_SLICE = 100;

/** Finished tasks kept at most, with any retention. */
const FINISHED_KEPT = 200_000;

/** Beyond this size finished tasks are deleted before their retention ends; an object may hold 10 GB. */
const COMFORTABLE_BYTES = 6_000_000_000;

/** Tasks read at a time. */
const PAGE = 100;

/** The alarm continues work that a crash may have interrupted this much later. */
const SAFETY_NET_MS = 1000;

type Needs = Pick<
  ClusterContext,
  "host" | "meta" | "outbox" | "settings" | "tasks" | "wakeups" | "recordEvent" | "saveTask"
>;
type Parts = {
  background: Pick<BackgroundWork, "hasWork">;
  drains: Pick<Drains, "extendDeadlines" | "nextWorkMs" | "runDue" | "shortestTimeoutMs">;
  losses: Pick<AttemptLosses, "timeOut">;
  placement: Pick<Placement, "place">;
  queueWarnings: Pick<QueueWarnings, "nextWorkMs" | "pausedUntil" | "runDue">;
};

export class Maintenance {
  readonly #context: Needs;
  readonly #parts: Parts;
  #lastPauseMs = 0;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** At a start of the object: under another boot id, there was an outage. */
  load(nowMs: number): void {
    const { meta, host } = this.#context;
    const storedBootId = meta.read("boot_id");
    if (storedBootId !== host.bootId) meta.write("boot_id", host.bootId);
    if (isRestart(storedBootId, host.bootId)) {
      const reachableSinceMs = host.reachableSinceMs() ?? nowMs;
      this.#extendDeadlines("restarted", reachableSinceMs, nowMs);
    }
  }

  nextWorkMs(nowMs: number): number | null {
    const { tasks, outbox, wakeups, settings } = this.#context;
    const { background, drains } = this.#parts;
    const finishedMs = tasks.store.earliestFinishedMs();
    return earliest(
      background.hasWork ? nowMs + SAFETY_NET_MS : null,
      tasks.store.deadlines.earliestMs(),
      tasks.store.pending.earliestBackOffMs(),
      finishedMs === null ? null : this.#hasTooMuch() ? nowMs : finishedMs + settings.retentionMs + 1,
      drains.nextWorkMs(),
      this.#parts.queueWarnings.nextWorkMs(),
      wakeups.nextWorkMs(),
      outbox.nextWorkMs(),
    );
  }

  run(scheduledMs: number | null, nowMs: number): void {
    const { tasks, settings, wakeups, outbox } = this.#context;
    if (this.#isLate(scheduledMs, nowMs)) this.#extendDeadlines("alarm_late", nowMs, nowMs);
    this.#timeOutTasks(nowMs);
    this.#parts.drains.runDue(nowMs);
    for (const task of tasks.store.pending.backedOff(nowMs, ALARM_SLICE))
      this.#retryBackedOff(task.id, nowMs);
    this.#parts.queueWarnings.runDue(nowMs);
    tasks.dropFinishedBefore(this.#hasTooMuch() ? nowMs : nowMs - settings.retentionMs, ALARM_SLICE);
    wakeups.repeatDue(nowMs);
    outbox.sendDue(nowMs);
  }

  /** Whether the alarm is so late that there was an outage since the last one. */
  #isLate(scheduledMs: number | null, nowMs: number): boolean {
    const { store } = this.#context.tasks;
    const { drains } = this.#parts;
    const dueMs = earliest(scheduledMs, store.deadlines.earliestMs(), drains.nextWorkMs(), nowMs) ?? nowMs;
    const countedFromMs = Math.max(dueMs, this.#lastPauseMs);
    if (!mayBeLate(countedFromMs, nowMs)) return false;
    const shortestMs = earliest(store.deadlines.shortestTimeoutMs(), drains.shortestTimeoutMs());
    return isLateAlarm(countedFromMs, nowMs, shortestMs);
  }

  /** Too many finished tasks, or too many bytes: then the oldest are deleted before their retention ends. */
  #hasTooMuch(): boolean {
    return (
      this.#context.tasks.finishedCount > FINISHED_KEPT ||
      this.#context.host.sql.sizeBytes() > COMFORTABLE_BYTES
    );
  }

  #timeOutTasks(nowMs: number): void {
    for (const task of this.#context.tasks.store.deadlines.overdue(nowMs, ALARM_SLICE)) {
      // An earlier time-out of the slice may have changed the task.
      const current = this.#context.tasks.store.find(task.id);
      const deadline = current && taskDeadline(current);
      if (current !== undefined && deadline && deadline.atMs <= nowMs) {
        this.#parts.losses.timeOut(current, deadline.kind, nowMs);
      }
    }
  }

  #retryBackedOff(taskId: string, nowMs: number): void {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined || task.status !== "pending") return;
    const due = { ...task, notBeforeMs: null };
    this.#parts.placement.place({ before: task, task: due, reason: "task_failed" }, nowMs);
  }

  /** Our own outage lasted until `fromMs`: each running deadline of a task and of a drain starts again from then. */
  #extendDeadlines(cause: PauseCause, fromMs: number, nowMs: number): void {
    this.#lastPauseMs = nowMs;
    this.#parts.drains.extendDeadlines(fromMs);
    this.#parts.queueWarnings.pausedUntil(fromMs);
    let count = 0;
    let last = 0;
    for (;;) {
      const page = this.#context.tasks.store.deadlines.page(last, PAGE);
      for (const { number, task } of page) {
        this.#context.saveTask(task, extendedTask(task, fromMs));
        last = number;
        count += 1;
      }
      if (page.length < PAGE) break;
    }
    if (count === 0) return;
    this.#context.recordEvent(
      { type: "coordinator.paused", subject: "coordinator", data: { cause, tasks: count } },
      nowMs,
    );
  }
}
