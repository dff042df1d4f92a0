/**
 * The one alarm of a group: declares agents dead and locks expired, and tells our own absence
 * from their silence. Nothing else in the group ends a deadline.
 *
 *   due --> first look --30 ms: queued requests are heard--> second look --> declared
 *    '--> too late: it was we who were away --> everybody's deadline anew
 */
import { isLateAlarm, isRestart, type PauseCause, SECOND_LOOK_MS } from "../../domain/pause.ts";
import { earliest } from "../earliest.ts";
import type { Ledger } from "./ledger.ts";
import { lockEvent } from "./lock-event.ts";

/** Released locks dropped in one alarm. */
const SWEEP_SLICE = 100;

export class Watch {
  readonly #ledger: Ledger;
  /** When somebody overdue was first noticed; they are declared one more look later. */
  #firstLookMs: number | null = null;
  #lastPauseMs = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** At a start of the object: under another boot id, we were away. */
  load(nowMs: number): void {
    const { meta, host } = this.#ledger;
    this.#firstLookMs = null;
    const storedBootId = meta.read("boot_id");
    if (storedBootId !== host.bootId) meta.write("boot_id", host.bootId);
    if (isRestart(storedBootId, host.bootId)) this.#creditPause("restarted", nowMs);
  }

  nextWorkMs(): number | null {
    if (this.#firstLookMs !== null) return this.#firstLookMs + SECOND_LOOK_MS;
    return earliest(
      this.#ledger.sessions.earliestDeadlineMs,
      this.#ledger.locks.earliestExpiryMs,
      this.#ledger.outbox.nextWorkMs(),
    );
  }

  /** @param scheduledMs when this alarm was due, if the platform tells */
  look(scheduledMs: number | null, nowMs: number): void {
    const dueMs = this.#dueMs(scheduledMs, nowMs);
    if (isLateAlarm(Math.max(dueMs, this.#lastPauseMs), nowMs, this.#shortestWatchedMs())) {
      this.#creditPause("alarm_late", nowMs);
    } else {
      this.#declareOverdue(nowMs);
    }
    this.#ledger.sessions.recompute();
    this.#ledger.locks.recompute();
    this.#ledger.locks.sweep(nowMs, SWEEP_SLICE);
    this.#ledger.outbox.sendDue(nowMs);
  }

  /** Declares whoever was overdue already at the first look; requests that queued have been heard since. */
  #declareOverdue(nowMs: number): void {
    const isSecondLook = this.#firstLookMs !== null && nowMs >= this.#firstLookMs + SECOND_LOOK_MS;
    const overdueSinceMs = isSecondLook ? (this.#firstLookMs ?? nowMs) : nowMs;
    const overdue = this.#ledger.sessions.overdue(overdueSinceMs);
    const expiredLocks = this.#ledger.locks.expired(overdueSinceMs);
    if (overdue.length === 0 && expiredLocks.length === 0) {
      this.#firstLookMs = null;
      return;
    }
    if (!isSecondLook) {
      this.#firstLookMs ??= nowMs;
      return;
    }
    this.#firstLookMs = null;
    for (const session of overdue) {
      const silentSeconds = (nowMs - session.life.lastSignMs) / 1000;
      this.#ledger.end(
        session,
        {
          ending: "failed",
          failureType: "heartbeat_timeout",
          message: `no sign of life for ${silentSeconds.toFixed(1)} s (timeout ${session.timeoutMs / 1000} s)`,
          details: { timeout_seconds: session.timeoutMs / 1000 },
        },
        nowMs,
      );
    }
    const lapsed = expiredLocks.filter((lock) => this.#ledger.locks.find(lock.resource) === lock);
    for (const lock of lapsed) this.#ledger.locks.free(lock, this.#ledger.settings.lockDelayMs, nowMs);
    this.#ledger.noteEvents(
      nowMs,
      lapsed.map((lock) => lockEvent("lock.expired", lock)),
    );
  }

  #dueMs(scheduledMs: number | null, nowMs: number): number {
    const lookMs = this.#firstLookMs === null ? null : this.#firstLookMs + SECOND_LOOK_MS;
    return (
      earliest(
        scheduledMs,
        lookMs ?? this.#ledger.sessions.earliestDeadlineMs,
        lookMs ?? this.#ledger.locks.earliestExpiryMs,
        nowMs,
      ) ?? nowMs
    );
  }

  #shortestWatchedMs(): number | null {
    return earliest(this.#ledger.sessions.shortestTimeoutMs, this.#ledger.locks.shortestTtlMs);
  }

  /** We were away: nobody's deadline may be earlier than a whole timeout from now. */
  #creditPause(cause: PauseCause, nowMs: number): void {
    this.#firstLookMs = null;
    this.#lastPauseMs = nowMs;
    if (this.#ledger.sessions.count === 0 && this.#ledger.locks.heldCount === 0) return;
    this.#ledger.sessions.creditAll(nowMs);
    this.#ledger.locks.creditAll(nowMs);
    this.#ledger.noteEvents(nowMs, [
      {
        type: "coordinator_paused",
        subject: `group/${this.#ledger.group}`,
        data: { cause, agents: this.#ledger.sessions.count },
      },
    ]);
  }
}
