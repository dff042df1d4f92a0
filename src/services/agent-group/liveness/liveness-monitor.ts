/**
 * The work of a group's alarm: declares agents inactive and locks expired, ends waits for locks, and tells an outage of
 * the coordinator from a silence of agents. Nothing else in the group ends a deadline.
 *
 *   due --> first check --30 ms: queued requests are processed--> second check --> declared
 *    '--> alarm is late: there was an outage --> every deadline is extended
 */

import { isLateAlarm, type PauseCause, SECOND_CHECK_DELAY_MS } from "../../../domain/coordinator-outage.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { GroupContext } from "../group-context.ts";
import type { LockGranter } from "../locks/lock-granter.ts";
import { lockEvent } from "../locks/lock-view.ts";
import type { EndCause, SessionLifecycle } from "./session-lifecycle.ts";
import { deadlineOf, type Session } from "./sessions.ts";

/** Silent agents in one message to the coordinator. */
const SILENT_AGENTS_PER_MESSAGE = 1000;

/** Released locks, and messages past their retention, that one alarm drops. */
const SWEEP_SLICE = 100;

type Collaborators = Pick<
  GroupContext,
  | "group"
  | "host"
  | "meta"
  | "settings"
  | "sessions"
  | "locks"
  | "mailboxes"
  | "outbox"
  | "isRestarted"
  | "reachableSinceMs"
  | "recordEvents"
>;

export class LivenessMonitor {
  readonly #context: Collaborators;
  readonly #lifecycle: Pick<SessionLifecycle, "end">;
  readonly #granter: LockGranter;
  /** When an overdue deadline was first noticed; it is declared at the second check. */
  #firstCheckMs: number | null = null;
  #lastPauseMs = 0;

  constructor(context: Collaborators, lifecycle: Pick<SessionLifecycle, "end">, granter: LockGranter) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#granter = granter;
  }

  /** At a start of the object: there was an outage if the boot id is another, or if sockets on record are gone. */
  load(nowMs: number): void {
    const { meta, host } = this.#context;
    this.#firstCheckMs = null;
    const areSocketsGone = this.#dropGoneSockets();
    if (this.#context.isRestarted()) {
      this.#extendDeadlines("restarted", nowMs, this.#context.reachableSinceMs(nowMs));
    } else if (areSocketsGone) {
      this.#extendDeadlines("sockets_gone", nowMs, nowMs);
    }
    if (meta.read("boot_id") !== host.bootId) meta.write("boot_id", host.bootId);
  }

  nextWorkMs(): number | null {
    if (this.#firstCheckMs !== null) return this.#firstCheckMs + SECOND_CHECK_DELAY_MS;
    return earliest(
      this.#context.sessions.earliestDeadlineMs,
      this.#context.locks.earliestExpiryMs,
      this.#granter.earliestWorkMs,
      this.#context.mailboxes.earliestEndMs,
      this.#context.outbox.nextWorkMs(),
    );
  }

  /** @param scheduledMs when this alarm was due, if the platform says so */
  run(scheduledMs: number | null, nowMs: number): void {
    this.#readPings(nowMs);
    const dueMs = this.#dueMs(scheduledMs, nowMs);
    if (isLateAlarm(Math.max(dueMs, this.#lastPauseMs), nowMs, this.#shortestWatchedMs())) {
      this.#extendDeadlines("alarm_late", nowMs, nowMs);
    } else {
      this.#declareOverdue(nowMs);
    }
    this.#context.sessions.recompute();
    this.#context.locks.recompute();
    this.#granter.runDue(nowMs);
    this.#context.locks.sweep(nowMs, SWEEP_SLICE);
    this.#context.mailboxes.sweep(nowMs, SWEEP_SLICE);
    this.#context.outbox.sendDue(nowMs);
  }

  /** Declares what was overdue already at the first check; requests that were queued then have been processed since. */
  #declareOverdue(nowMs: number): void {
    const isSecondCheck = this.#firstCheckMs !== null && nowMs >= this.#firstCheckMs + SECOND_CHECK_DELAY_MS;
    const overdueSinceMs = isSecondCheck ? (this.#firstCheckMs ?? nowMs) : nowMs;
    const overdue = this.#context.sessions.overdue(overdueSinceMs);
    const expiredLocks = this.#context.locks.expired(overdueSinceMs);
    if (overdue.length === 0 && expiredLocks.length === 0) {
      this.#firstCheckMs = null;
      return;
    }
    if (!isSecondCheck) {
      this.#firstCheckMs ??= nowMs;
      return;
    }
    this.#firstCheckMs = null;
    if (overdue.length > 0) this.#reportSilent(overdue, nowMs);
    for (const session of overdue) {
      this.#lifecycle.end(session, this.#causeOf(session, overdueSinceMs, nowMs), nowMs);
    }
    const lapsed = expiredLocks.filter((lock) => this.#context.locks.find(lock.resource) === lock);
    for (const lock of lapsed) {
      const { lockDelayMs } = this.#context.settings;
      this.#context.locks.end(lock, { ending: "expired", lockDelayMs }, nowMs);
      this.#granter.grantNext(lock.resource, nowMs);
    }
    this.#context.recordEvents(
      nowMs,
      lapsed.map((lock) => lockEvent("lock.expired", lock)),
    );
  }

  /** Sent before the ends, so that no task goes to an agent that is likely to be declared next. */
  #reportSilent(overdue: readonly Session[], nowMs: number): void {
    const declared = new Set(overdue);
    const agents = this.#context.sessions
      .silent(nowMs)
      .filter((session) => !declared.has(session))
      .slice(0, SILENT_AGENTS_PER_MESSAGE)
      .map((session) => ({
        agentId: session.agentId,
        incarnation: session.incarnation,
        // An agent that is overdue by now has its own two checks still to come, and the message takes its time.
        untilMs: Math.max(deadlineOf(session), nowMs) + 2 * SECOND_CHECK_DELAY_MS,
      }));
    if (agents.length > 0) this.#context.outbox.send("coordinator", { type: "agents_silent", agents });
  }

  /** When a deadline seems to have passed: the agent may have sent pings, which only the platform has seen. */
  #readPings(nowMs: number): void {
    const { sessions } = this.#context;
    if (sessions.earliestDeadlineMs === null || sessions.earliestDeadlineMs > nowMs) return;
    sessions.readPings();
    if (sessions.isFlushDue(nowMs)) sessions.flush(nowMs);
  }

  /** @returns whether sockets on record are gone: then the platform cut them, not their agents */
  #dropGoneSockets(): boolean {
    const { sessions, host } = this.#context;
    const gone = [...sessions.all()].filter(
      ({ connection }) => connection !== null && !host.sockets.isKnown(connection),
    );
    for (const session of gone) sessions.disconnected(session, session.suspectUntilMs);
    return gone.length > 0;
  }

  #dueMs(scheduledMs: number | null, nowMs: number): number {
    const secondCheckMs = this.#firstCheckMs === null ? null : this.#firstCheckMs + SECOND_CHECK_DELAY_MS;
    return (
      earliest(
        scheduledMs,
        secondCheckMs ?? this.#context.sessions.earliestDeadlineMs,
        secondCheckMs ?? this.#context.locks.earliestExpiryMs,
        nowMs,
      ) ?? nowMs
    );
  }

  #shortestWatchedMs(): number | null {
    return earliest(this.#context.sessions.shortestTimeoutMs, this.#context.locks.shortestTtlMs);
  }

  /** After an outage until `fromMs`: no deadline is earlier than a whole timeout after it. */
  #extendDeadlines(cause: PauseCause, nowMs: number, fromMs: number): void {
    this.#firstCheckMs = null;
    this.#lastPauseMs = nowMs;
    if (this.#context.sessions.count === 0 && this.#context.locks.heldCount === 0) return;
    this.#context.sessions.extendAll(fromMs, nowMs);
    this.#context.locks.extendAll(fromMs);
    this.#granter.extendAll(fromMs);
    this.#context.recordEvents(nowMs, [
      {
        type: "coordinator.paused",
        subject: `group/${this.#context.group}`,
        data: { cause, agents: this.#context.sessions.count },
      },
    ]);
  }

  /** @param overdueSinceMs when its deadline was first found to have passed */
  #causeOf(session: Session, overdueSinceMs: number, nowMs: number): EndCause {
    const silentSeconds = ((nowMs - session.life.lastSignMs) / 1000).toFixed(1);
    if (session.suspectUntilMs !== null && session.suspectUntilMs <= overdueSinceMs) {
      return {
        ending: "failed",
        failureType: "connection_lost",
        message: `its connection broke, and no sign of life followed (the last was ${silentSeconds} s ago)`,
        details: { reconnect_grace_seconds: this.#context.settings.reconnectGraceMs / 1000 },
      };
    }
    return {
      ending: "failed",
      failureType: "heartbeat_timeout",
      message: `no sign of life for ${silentSeconds} s (timeout ${session.timeoutMs / 1000} s)`,
      details: { timeout_seconds: session.timeoutMs / 1000 },
    };
  }
}
