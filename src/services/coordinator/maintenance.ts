/**
 * The one alarm of a coordinator: time-outs of tasks, deadlines of drains, retries that backed off, retention,
 * doorbells that were not answered, messages to be sent again, and whatever a crash left
 * under way. A late alarm, or a start under another boot id, was our absence, not theirs.
 */

import { earliest, taskDeadline } from "../../domain/deadlines.ts";
import { isLateAlarm, isRestart, mayBeLate, type PauseCause } from "../../domain/pause.ts";
import { extendedTask } from "../../domain/task-lifecycle.ts";
import type { Drains } from "./agents/drains.ts";
import type { ClusterContext } from "./cluster-context.ts";
import type { AttemptLosses } from "./failover/attempt-loss.ts";
import type { Failover } from "./failover/failover.ts";
import type { Placement } from "./tasks/placement.ts";

/** Rows that one alarm changes of each kind at most; the rest follows in the next. */
const ALARM_SLICE = 100;

/** Finished tasks kept at most, however long the retention. */
const FINISHED_KEPT = 200_000;

/** Beyond this much storage finished tasks give way; an object may hold 10 GB. */
const COMFORTABLE_BYTES = 6_000_000_000;

/** Tasks held in memory at once while all are gone through. */
const PAGE = 100;

/** Work that a crash may have interrupted is taken up by the alarm this much later. */
const SAFETY_NET_MS = 1000;

export class Maintenance {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #losses: AttemptLosses;
  readonly #failover: Failover;
  readonly #drains: Drains;
  #lastPauseMs = 0;

  constructor(
    context: ClusterContext,
    placement: Placement,
    losses: AttemptLosses,
    failover: Failover,
    drains: Drains,
  ) {
    this.#context = context;
    this.#placement = placement;
    this.#losses = losses;
    this.#failover = failover;
    this.#drains = drains;
  }

  /** At a start of the object: under another boot id, we were away. */
  load(nowMs: number): void {
    const { meta, host } = this.#context;
    const storedBootId = meta.read("boot_id");
    if (storedBootId !== host.bootId) meta.write("boot_id", host.bootId);
    if (isRestart(storedBootId, host.bootId))
      this.#creditPause("restarted", nowMs, host.reachableSinceMs() ?? nowMs);
  }

  /** Whether something is under way that is to go on as soon as others had their turn. */
  get hasWork(): boolean {
    return this.#failover.hasWork || this.#placement.hasWork;
  }

  /** Does one slice of what is under way. */
  work(nowMs: number): void {
    if (this.#failover.hasWork) this.#failover.runSlice(nowMs);
    else this.#placement.fillRest(nowMs);
  }

  nextWorkMs(nowMs: number): number | null {
    const { tasks, outbox, wakeups: doorbells, settings } = this.#context;
    const finishedMs = tasks.store.earliestFinishedMs();
    return earliest(
      this.hasWork ? nowMs + SAFETY_NET_MS : null,
      tasks.store.earliestDeadlineMs(),
      tasks.store.earliestBackOffMs(),
      finishedMs === null ? null : this.#hasTooMuch() ? nowMs : finishedMs + settings.retentionMs + 1,
      this.#drains.nextWorkMs(),
      doorbells.nextWorkMs(),
      outbox.nextWorkMs(),
    );
  }

  run(scheduledMs: number | null, nowMs: number): void {
    const { tasks, settings, wakeups: doorbells, outbox } = this.#context;
    const dueMs =
      earliest(scheduledMs, tasks.store.earliestDeadlineMs(), this.#drains.nextWorkMs(), nowMs) ?? nowMs;
    const countedFromMs = Math.max(dueMs, this.#lastPauseMs);
    if (
      mayBeLate(countedFromMs, nowMs) &&
      isLateAlarm(
        countedFromMs,
        nowMs,
        earliest(tasks.store.shortestTimeoutMs(), this.#drains.shortestTimeoutMs()),
      )
    ) {
      this.#creditPause("alarm_late", nowMs, nowMs);
    }
    this.#timeOutTasks(nowMs);
    this.#drains.runDue(nowMs);
    for (const task of tasks.store.backedOff(nowMs, ALARM_SLICE)) this.#retryBackedOff(task.id, nowMs);
    tasks.dropFinishedBefore(this.#hasTooMuch() ? nowMs : nowMs - settings.retentionMs, ALARM_SLICE);
    doorbells.repeatDue(nowMs);
    outbox.sendDue(nowMs);
  }

  /** More finished tasks than are kept, or more bytes: then the oldest go before their retention is over. */
  #hasTooMuch(): boolean {
    return (
      this.#context.tasks.finishedCount > FINISHED_KEPT ||
      this.#context.host.sql.sizeBytes() > COMFORTABLE_BYTES
    );
  }

  #timeOutTasks(nowMs: number): void {
    for (const task of this.#context.tasks.store.overdue(nowMs, ALARM_SLICE)) {
      // An earlier one of the slice may have changed it.
      const current = this.#context.tasks.store.find(task.id);
      const deadline = current && taskDeadline(current);
      if (current !== undefined && deadline && deadline.atMs <= nowMs) {
        this.#losses.timeOut(current, deadline.kind, nowMs);
      }
    }
  }

  #retryBackedOff(taskId: string, nowMs: number): void {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined || task.status !== "pending") return;
    this.#placement.place(task, { ...task, notBeforeMs: null }, "task_failed", nowMs);
  }

  /** We were away until `fromMs`: every running deadline of a task is given whole again from then. */
  #creditPause(cause: PauseCause, nowMs: number, fromMs: number): void {
    this.#lastPauseMs = nowMs;
    this.#drains.extendDeadlines(fromMs);
    let count = 0;
    let last = 0;
    for (;;) {
      const page = this.#context.tasks.store.withDeadline(last, PAGE);
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
