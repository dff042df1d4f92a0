/**
 * The one alarm of a group: declares agents dead and locks expired, serves the lines for locks, and tells our
 * own absence from their silence. Nothing else in the group ends a deadline.
 *
 *   due --> first look --30 ms: queued requests are heard--> second look --> declared
 *    '--> too late: it was we who were away --> everybody's deadline anew
 */

import { earliest } from "../../../domain/deadlines.ts";
import { isLateAlarm, type PauseCause, SECOND_LOOK_MS } from "../../../domain/pause.ts";
import type { Cause, GroupContext } from "../group-context.ts";
import { lockEvent } from "../lock-event.ts";
import { deadlineOf, type Session } from "./sessions.ts";

/** Doubtful agents named to the coordinator at once. */
const DOUBTFUL_TOLD = 1000;

/** Released locks dropped in one alarm, and messages past their retention. */
const SWEEP_SLICE = 100;

export class LivenessMonitor {
  readonly #context: GroupContext;
  /** When somebody overdue was first noticed; they are declared one more look later. */
  #firstLookMs: number | null = null;
  #lastPauseMs = 0;

  constructor(context: GroupContext) {
    this.#context = context;
  }

  /** At a start of the object: under another boot id, or without the sockets that it had, we were away. */
  load(nowMs: number): void {
    const { meta, host } = this.#context;
    this.#firstLookMs = null;
    const areSocketsGone = this.#dropGoneSockets();
    if (this.#context.isRestarted()) {
      this.#creditPause("restarted", nowMs, this.#context.backSinceMs(nowMs));
    } else if (areSocketsGone) {
      this.#creditPause("sockets_gone", nowMs, nowMs);
    }
    if (meta.read("boot_id") !== host.bootId) meta.write("boot_id", host.bootId);
  }

  nextWorkMs(): number | null {
    if (this.#firstLookMs !== null) return this.#firstLookMs + SECOND_LOOK_MS;
    return earliest(
      this.#context.sessions.earliestDeadlineMs,
      this.#context.locks.earliestExpiryMs,
      this.#context.lockGranter.earliestWorkMs,
      this.#context.mailboxes.earliestEndMs,
      this.#context.outbox.nextWorkMs(),
    );
  }

  /** @param scheduledMs when this alarm was due, if the platform tells */
  run(scheduledMs: number | null, nowMs: number): void {
    this.#hearPings(nowMs);
    const dueMs = this.#dueMs(scheduledMs, nowMs);
    if (isLateAlarm(Math.max(dueMs, this.#lastPauseMs), nowMs, this.#shortestWatchedMs())) {
      this.#creditPause("alarm_late", nowMs, nowMs);
    } else {
      this.#declareOverdue(nowMs);
    }
    this.#context.sessions.recompute();
    this.#context.locks.recompute();
    this.#context.lockGranter.runDue(nowMs);
    this.#context.locks.sweep(nowMs, SWEEP_SLICE);
    this.#context.mailboxes.sweep(nowMs, SWEEP_SLICE);
    this.#context.outbox.sendDue(nowMs);
  }

  /** Declares whoever was overdue already at the first look; requests that queued have been heard since. */
  #declareOverdue(nowMs: number): void {
    const isSecondLook = this.#firstLookMs !== null && nowMs >= this.#firstLookMs + SECOND_LOOK_MS;
    const overdueSinceMs = isSecondLook ? (this.#firstLookMs ?? nowMs) : nowMs;
    const overdue = this.#context.sessions.overdue(overdueSinceMs);
    const expiredLocks = this.#context.locks.expired(overdueSinceMs);
    if (overdue.length === 0 && expiredLocks.length === 0) {
      this.#firstLookMs = null;
      return;
    }
    if (!isSecondLook) {
      this.#firstLookMs ??= nowMs;
      return;
    }
    this.#firstLookMs = null;
    if (overdue.length > 0) this.#tellOfDoubtful(overdue, nowMs);
    const graceSeconds = this.#context.settings.reconnectGraceMs / 1000;
    for (const session of overdue) {
      this.#context.end(session, causeOf(session, graceSeconds, overdueSinceMs, nowMs), nowMs);
    }
    const lapsed = expiredLocks.filter((lock) => this.#context.locks.find(lock.resource) === lock);
    for (const lock of lapsed) {
      this.#context.locks.end(lock, this.#context.settings.lockDelayMs, nowMs);
      this.#context.lockGranter.grantNext(lock.resource, nowMs);
    }
    this.#context.recordEvents(
      nowMs,
      lapsed.map((lock) => lockEvent("lock.expired", lock)),
    );
  }

  /** Told before the deaths, so that the dead one's tasks do not go to whoever dies next. */
  #tellOfDoubtful(overdue: readonly Session[], nowMs: number): void {
    const declared = new Set(overdue);
    const agents = this.#context.sessions
      .silent(nowMs)
      .filter((session) => !declared.has(session))
      .slice(0, DOUBTFUL_TOLD)
      .map((session) => ({
        agentId: session.agentId,
        incarnation: session.incarnation,
        untilMs: deadlineOf(session) + SECOND_LOOK_MS,
      }));
    if (agents.length > 0) this.#context.outbox.send("coordinator", { type: "agents_silent", agents });
  }

  /** Somebody's deadline seems to have passed: whoever pings was heard by the platform alone. */
  #hearPings(nowMs: number): void {
    const { sessions } = this.#context;
    if (sessions.earliestDeadlineMs === null || sessions.earliestDeadlineMs > nowMs) return;
    sessions.hearPings();
    if (sessions.isFlushDue(nowMs)) sessions.flush(nowMs);
  }

  /** @returns whether sockets on record are gone: then it was us who cut them */
  #dropGoneSockets(): boolean {
    const { sessions, host } = this.#context;
    const gone = [...sessions.all()].filter(
      ({ connection }) => connection !== null && !host.sockets.isKnown(connection),
    );
    for (const session of gone) sessions.disconnected(session, session.suspectUntilMs);
    return gone.length > 0;
  }

  #dueMs(scheduledMs: number | null, nowMs: number): number {
    const lookMs = this.#firstLookMs === null ? null : this.#firstLookMs + SECOND_LOOK_MS;
    return (
      earliest(
        scheduledMs,
        lookMs ?? this.#context.sessions.earliestDeadlineMs,
        lookMs ?? this.#context.locks.earliestExpiryMs,
        nowMs,
      ) ?? nowMs
    );
  }

  #shortestWatchedMs(): number | null {
    return earliest(this.#context.sessions.shortestTimeoutMs, this.#context.locks.shortestTtlMs);
  }

  /** We were away until `fromMs`: nobody's deadline may be earlier than a whole timeout after it. */
  #creditPause(cause: PauseCause, nowMs: number, fromMs: number): void {
    this.#firstLookMs = null;
    this.#lastPauseMs = nowMs;
    if (this.#context.sessions.count === 0 && this.#context.locks.heldCount === 0) return;
    this.#context.sessions.extendAll(fromMs, nowMs);
    this.#context.locks.extendAll(fromMs);
    this.#context.lockGranter.extendAll(fromMs);
    this.#context.recordEvents(nowMs, [
      {
        type: "coordinator.paused",
        subject: `group/${this.#context.group}`,
        data: { cause, agents: this.#context.sessions.count },
      },
    ]);
  }
}

function causeOf(session: Session, graceSeconds: number, overdueSinceMs: number, nowMs: number): Cause {
  const silentSeconds = ((nowMs - session.life.lastSignMs) / 1000).toFixed(1);
  if (session.suspectUntilMs !== null && session.suspectUntilMs <= overdueSinceMs) {
    return {
      ending: "failed",
      failureType: "connection_lost",
      message: `its connection broke, and nothing was heard of it since (last ${silentSeconds} s ago)`,
      details: { reconnect_grace_seconds: graceSeconds },
    };
  }
  return {
    ending: "failed",
    failureType: "heartbeat_timeout",
    message: `no sign of life for ${silentSeconds} s (timeout ${session.timeoutMs / 1000} s)`,
    details: { timeout_seconds: session.timeoutMs / 1000 },
  };
}
