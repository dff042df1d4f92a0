/**
 * What an agent group does: it is the authority for its agents' liveness and for its
 * locks, and knows nothing of tasks. One alarm serves every deadline in it.
 *
 *   coordinator --admit, configure--> group --agent_ended, load_reported, events_noted--> coordinator
 *
 * Ending an incarnation is one transaction: the session goes, its locks are freed, the
 * message to the coordinator is in the outbox.
 */
import type { AgentLiveness, FailureReport, Heartbeat, HeartbeatAnswer, Load } from "../../contract/agent.ts";
import type { Page } from "../../contract/common.ts";
import type { EventDraft } from "../../contract/event.ts";
import type { Lock, LockAcquisition } from "../../contract/lock.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type { LockRecord } from "../../domain/lock.ts";
import type { AgentEnded, GroupSettings, Message } from "../../domain/message.ts";
import { isLateAlarm, isRestart, type PauseCause, SECOND_LOOK_MS } from "../../domain/pause.ts";
import { AGENT_GROUP_MIGRATIONS } from "../../storage/agent-group/schema.ts";
import { MetaStore } from "../../storage/meta.ts";
import type { Doorbell, Host, Parcel, Receipt } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { instant } from "../instant.ts";
import { Outbox } from "../outbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { isWorthReporting } from "./load-reports.ts";
import { LockTable } from "./lock-table.ts";
import { lockView } from "./lock-view.ts";
import { deadlineOf, type Session, Sessions } from "./sessions.ts";

/** Locks one agent may hold at a time. */
const LOCKS_PER_AGENT = 1000;

/** Released locks dropped in one alarm. */
const SWEEP_SLICE = 100;

/** How long a call waits for the coordinator to have heard of what it did. */
const HEARD_LIMIT_MS = 2000;

/** Before the coordinator's first word, see GroupSettings. */
const SETTINGS_AT_FIRST: GroupSettings = {
  version: 0,
  failoverEnabled: true,
  reconnectGraceMs: 5000,
  defaultLockTtlMs: 30_000,
  maxLockTtlMs: 3_600_000,
  lockDelayMs: 0,
};

export class AgentGroup {
  readonly #group: string;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #meta: MetaStore;
  readonly #sessions: Sessions;
  readonly #locks: LockTable;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  #settings = SETTINGS_AT_FIRST;
  /** When somebody overdue was first noticed; they are declared one more look later. */
  #firstLookMs: number | null = null;
  #lastPauseMs = 0;

  constructor(host: Host, group: string) {
    this.#host = host;
    this.#group = group;
    this.#meta = new MetaStore(host.sql);
    this.#sessions = new Sessions(host.sql);
    this.#locks = new LockTable(host.sql);
    this.#unit = new UnitOfWork(host, {
      migrations: AGENT_GROUP_MIGRATIONS,
      load: (nowMs) => this.#load(nowMs),
      nextWorkMs: () => this.#nextWorkMs(),
    });
    this.#outbox = new Outbox(host, this.#unit, this.#meta, ({ receiver, messageType, reason }, nowMs) => {
      host.log.line("error", "message_parked", { receiver, message_type: messageType, reason });
      // An event about a refused event could go on for ever.
      if (messageType === "events_noted") return;
      this.#noteEvents(nowMs, [
        { type: "message.parked", subject: `group/${group}`, data: { message_type: messageType, reason } },
      ]);
    });
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  // From the coordinator

  receive(parcel: Parcel): Receipt {
    return this.#inbox.receive(parcel);
  }

  /** Hints that an agent's task list changed; wakes its waiting poll. */
  ringDoorbell({ agentId, assignedTasks }: Doorbell): void {
    const session = this.#unit.read(() => this.#sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = true;
    this.#host.bells.ring(agentTopic(agentId));
  }

  // Signs of life

  heartbeat(agentId: string, incarnation: number, { load }: Heartbeat): Outcome<HeartbeatAnswer> {
    const session = this.#sign(agentId, incarnation);
    if (session === null) return expired();
    if (load !== undefined) this.#noteLoad(session, load);
    const answer: HeartbeatAnswer = {
      status: "active",
      deadline_at: instant(deadlineOf(session)),
      assigned_tasks: session.assignedTasks,
      unread_messages: 0,
      tasks_changed: session.tasksChanged,
    };
    return ok(answer);
  }

  /** Any authenticated call by an incarnation shows that it lives. */
  signOfLife(agentId: string, incarnation: number): Outcome<{ intervalMs: number }> {
    const session = this.#sign(agentId, incarnation);
    return session === null ? expired() : ok({ intervalMs: session.intervalMs });
  }

  /** The agent read its task list: the doorbell is answered. */
  taskListRead(agentId: string, assignedTasks: number): void {
    const session = this.#unit.read(() => this.#sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = false;
  }

  liveness(agentIds: readonly string[]): AgentLiveness[] {
    return this.#unit.read(() =>
      agentIds.flatMap((agentId) => {
        const session = this.#sessions.find(agentId);
        if (session === undefined) return [];
        return {
          agent_id: agentId,
          incarnation: session.incarnation,
          last_heartbeat_at: instant(session.life.lastSignMs),
          deadline_at: instant(deadlineOf(session)),
          load: session.load,
        };
      }),
    );
  }

  // Endings that somebody asked for

  /** @param incarnation the caller's own; null for an operator, who means whichever lives */
  async unregister(agentId: string, incarnation: number | null): Promise<Outcome<null>> {
    const ended = await this.#endOnRequest(agentId, incarnation, {
      ending: "unregistered",
      failureType: "unregistered",
      message: "unregistered",
      details: {},
    });
    return ended.ok ? ok(null) : ended;
  }

  /** A failure seen elsewhere. @returns the id of the failure's record */
  async reportFailure(agentId: string, report: FailureReport): Promise<Outcome<{ failureId: string }>> {
    return this.#endOnRequest(agentId, report.incarnation ?? null, {
      ending: "failed",
      failureType: report.failure_type,
      message: report.message ?? `reported as failed: ${report.failure_type}`,
      details: report.details ?? {},
    });
  }

  // Locks

  acquire(resource: string, incarnation: number | null, request: LockAcquisition): Outcome<Lock> {
    return this.#unit.commit((nowMs) => {
      const session = this.#sessions.find(request.agent_id);
      if (session === undefined || (incarnation !== null && session.incarnation !== incarnation)) {
        return expired();
      }
      const ttlMs =
        request.ttl_seconds === undefined ? this.#settings.defaultLockTtlMs : request.ttl_seconds * 1000;
      if (ttlMs > this.#settings.maxLockTtlMs) {
        return tooLong(this.#settings.maxLockTtlMs);
      }
      const lock = this.#locks.find(resource);
      if (lock?.holder === session.agentId && lock.incarnation === session.incarnation) {
        return ok(this.#view(this.#locks.renew(lock, ttlMs, nowMs)));
      }
      if (lock !== undefined && lock.holder !== null) {
        return refuse("lock_held", `held by ${lock.holder}; try again after it expires or is released`, {
          holder: lock.holder,
          expires_at: instant(lock.expiresAtMs ?? nowMs),
        });
      }
      if (lock !== undefined && lock.grantableAtMs !== null && lock.grantableAtMs > nowMs) {
        return refuse("lock_held", "its holder failed and the lock delay has not passed yet", {
          holder: null,
          expires_at: instant(lock.grantableAtMs),
        });
      }
      if (this.#locks.heldCountOf(session.agentId) >= LOCKS_PER_AGENT) {
        return refuse(
          "limit_reached",
          `an agent may hold at most ${LOCKS_PER_AGENT} locks; release some first`,
        );
      }
      const granted = this.#locks.grant(resource, session.agentId, session.incarnation, ttlMs, nowMs);
      return ok(this.#view(granted));
    });
  }

  /** @param caller the agent that asks, null for an operator */
  renew(resource: string, fencingToken: number, caller: Caller | null): Outcome<Lock> {
    return this.#unit.commit((nowMs) => {
      const lock = this.#locks.find(resource);
      const refusal = this.#refuseStranger(lock, fencingToken, caller);
      if (refusal !== null) return refusal;
      if (lock === undefined || lock.holder === null) return staleToken(lock);
      return ok(this.#view(this.#locks.renew(lock, lock.ttlMs, nowMs)));
    });
  }

  release(resource: string, fencingToken: number, caller: Caller | null): Outcome<Lock> {
    return this.#unit.commit(() => {
      const lock = this.#locks.find(resource);
      if (lock !== undefined && lock.releasedToken === fencingToken) {
        // Answered as the first time, also when somebody else holds it by now.
        return ok({
          ...this.#view(lock),
          holder: null,
          incarnation: null,
          expires_at: null,
          fencing_token: fencingToken,
        });
      }
      const refusal = this.#refuseStranger(lock, fencingToken, caller);
      if (refusal !== null) return refusal;
      if (lock === undefined || lock.holder === null) return staleToken(lock);
      return ok(this.#view(this.#locks.release(lock)));
    });
  }

  /** An operator ends a lock whoever holds it. */
  breakLock(resource: string): Outcome<Lock> {
    return this.#unit.commit((nowMs) => {
      const lock = this.#locks.find(resource);
      if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
      const broken = this.#locks.free(lock, this.#settings.lockDelayMs, nowMs);
      this.#noteEvents(nowMs, [lockEvent("lock.broken", lock)]);
      return ok(this.#view(broken));
    });
  }

  lock(resource: string): Outcome<Lock> {
    const lock = this.#unit.read(() => this.#locks.find(resource));
    if (lock === undefined || lock.holder === null) return refuse("not_found", "nobody holds this lock");
    return ok(this.#view(lock));
  }

  locks(limit: number, afterResource: string | null): Page<Lock> {
    const held = this.#unit.read(() => this.#locks.held());
    const from = afterResource === null ? 0 : held.findIndex((lock) => lock.resource > afterResource);
    const page = from < 0 ? [] : held.slice(from, from + limit);
    const isLast = from < 0 || from + limit >= held.length;
    return {
      items: page.map((lock) => this.#view(lock)),
      next_cursor: isLast ? null : (page.at(-1)?.resource ?? null),
    };
  }

  lockedCount(): number {
    return this.#unit.read(() => this.#locks.heldCount);
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => {
      const dueMs = this.#dueMs(scheduledMs, nowMs);
      if (isLateAlarm(Math.max(dueMs, this.#lastPauseMs), nowMs, this.#shortestWatchedMs())) {
        this.#creditPause("alarm_late", nowMs);
      } else {
        this.#declareOverdue(nowMs);
      }
      this.#sessions.recompute();
      this.#locks.recompute();
      this.#locks.sweep(nowMs, SWEEP_SLICE);
      this.#outbox.sendDue(nowMs);
    });
  }

  #load(nowMs: number): void {
    if (this.#meta.read("stream_id") === null) this.#meta.write("stream_id", this.#host.randomId());
    const settings = this.#meta.read("settings");
    this.#settings = settings === null ? SETTINGS_AT_FIRST : (JSON.parse(settings) as GroupSettings);
    this.#sessions.load(nowMs);
    this.#locks.load();
    this.#outbox.load();
    this.#firstLookMs = null;
    const storedBootId = this.#meta.read("boot_id");
    if (storedBootId !== this.#host.bootId) this.#meta.write("boot_id", this.#host.bootId);
    if (isRestart(storedBootId, this.#host.bootId)) this.#creditPause("restarted", nowMs);
  }

  #nextWorkMs(): number | null {
    if (this.#firstLookMs !== null) return this.#firstLookMs + SECOND_LOOK_MS;
    return earliest(
      this.#sessions.earliestDeadlineMs,
      this.#locks.earliestExpiryMs,
      this.#outbox.nextWorkMs(),
    );
  }

  #apply(message: Message, nowMs: number): string | null {
    switch (message.type) {
      case "admit": {
        const known = this.#sessions.find(message.agentId);
        if (known !== undefined && known.incarnation >= message.incarnation) return null;
        this.#locks.freeAllOf(message.agentId, this.#settings.lockDelayMs, nowMs);
        this.#sessions.add(message, nowMs);
        return null;
      }
      case "configure_group":
        this.#settings = message.settings;
        this.#meta.write("settings", JSON.stringify(message.settings));
        return null;
      default:
        return `a group knows no message "${message.type}"`;
    }
  }

  #sign(agentId: string, incarnation: number): Session | null {
    const session = this.#unit.read(() => this.#sessions.find(agentId));
    if (session === undefined || session.incarnation !== incarnation) return null;
    const isFlushDue = this.#sessions.sign(session, this.#unit.nowMs());
    if (isFlushDue) this.#unit.commit((nowMs) => this.#sessions.flush(nowMs));
    return session;
  }

  #noteLoad(session: Session, load: Load): void {
    session.load = load;
    const nowMs = this.#unit.nowMs();
    if (!isWorthReporting(session.reportedLoad, load, nowMs)) return;
    this.#unit.commit(() => {
      session.reportedLoad = { load, atMs: nowMs };
      this.#outbox.post("coordinator", {
        type: "load_reported",
        agentId: session.agentId,
        incarnation: session.incarnation,
        load,
      });
    });
  }

  async #endOnRequest(agentId: string, incarnation: number | null, cause: Cause): Promise<Outcome<Ending>> {
    const ended = this.#unit.commit((nowMs): Outcome<Ending> => {
      const session = this.#sessions.find(agentId);
      if (session === undefined) return expired();
      if (incarnation !== null && session.incarnation !== incarnation) return expired();
      return ok(this.#end(session, cause, nowMs));
    });
    if (ended.ok) await this.#outbox.delivered("coordinator", ended.value.number, HEARD_LIMIT_MS);
    return ended;
  }

  /** Fences the incarnation, frees its locks, and tells the coordinator: all in the present transaction. */
  #end(session: Session, cause: Cause, nowMs: number): Ending {
    // With failover off a failed agent's locks end by their TTL alone.
    const keepsLocks = cause.ending === "failed" && !this.#settings.failoverEnabled;
    const lockDelayMs = cause.ending === "failed" ? this.#settings.lockDelayMs : 0;
    const locksReleased = keepsLocks ? [] : this.#locks.freeAllOf(session.agentId, lockDelayMs, nowMs);
    this.#sessions.remove(session);
    const failureId = this.#host.randomId();
    const number = this.#outbox.post("coordinator", {
      type: "agent_ended",
      agentId: session.agentId,
      incarnation: session.incarnation,
      group: this.#group,
      ...cause,
      failureId,
      lastSignMs: session.life.lastSignMs,
      declaredAtMs: nowMs,
      locksReleased,
    });
    this.#unit.afterCommit(() => this.#host.bells.ring(agentTopic(session.agentId)));
    return { failureId, number };
  }

  /** Declares whoever was overdue already at the first look; requests that queued have been heard since. */
  #declareOverdue(nowMs: number): void {
    const isSecondLook = this.#firstLookMs !== null && nowMs >= this.#firstLookMs + SECOND_LOOK_MS;
    const overdueSinceMs = isSecondLook ? (this.#firstLookMs ?? nowMs) : nowMs;
    const overdue = this.#sessions.overdue(overdueSinceMs);
    const expiredLocks = this.#locks.expired(overdueSinceMs);
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
      this.#end(
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
    const lapsed = expiredLocks.filter((lock) => this.#locks.find(lock.resource) === lock);
    for (const lock of lapsed) this.#locks.free(lock, this.#settings.lockDelayMs, nowMs);
    this.#noteEvents(
      nowMs,
      lapsed.map((lock) => lockEvent("lock.expired", lock)),
    );
  }

  #dueMs(scheduledMs: number | null, nowMs: number): number {
    const lookMs = this.#firstLookMs === null ? null : this.#firstLookMs + SECOND_LOOK_MS;
    return (
      earliest(
        scheduledMs,
        lookMs ?? this.#sessions.earliestDeadlineMs,
        lookMs ?? this.#locks.earliestExpiryMs,
        nowMs,
      ) ?? nowMs
    );
  }

  #shortestWatchedMs(): number | null {
    return earliest(this.#sessions.shortestTimeoutMs, this.#locks.shortestTtlMs);
  }

  /** We were away: nobody's deadline may be earlier than a whole timeout from now. */
  #creditPause(cause: PauseCause, nowMs: number): void {
    this.#firstLookMs = null;
    this.#lastPauseMs = nowMs;
    if (this.#sessions.count === 0 && this.#locks.heldCount === 0) return;
    this.#sessions.creditAll(nowMs);
    this.#locks.creditAll(nowMs);
    this.#noteEvents(nowMs, [
      {
        type: "coordinator_paused",
        subject: `group/${this.#group}`,
        data: { cause, agents: this.#sessions.count },
      },
    ]);
  }

  #noteEvents(nowMs: number, events: EventDraft[]): void {
    if (events.length > 0) this.#outbox.post("coordinator", { type: "events_noted", atMs: nowMs, events });
  }

  #refuseStranger(
    lock: LockRecord | undefined,
    fencingToken: number,
    caller: Caller | null,
  ): Outcome<never> | null {
    if (lock === undefined || lock.holder === null || lock.fencingToken !== fencingToken)
      return staleToken(lock);
    if (caller === null) return null;
    if (lock.holder !== caller.agentId) return refuse("forbidden", "an agent may only touch its own locks");
    return lock.incarnation === caller.incarnation ? null : expired();
  }

  #view(lock: LockRecord): Lock {
    return lockView(lock, this.#group);
  }
}

type Cause = Pick<AgentEnded, "ending" | "failureType" | "message" | "details">;
type Ending = { failureId: string; number: number };

/** Who calls, as its token says. */
export type Caller = { agentId: string; incarnation: number };

export function agentTopic(agentId: string): string {
  return `agent/${agentId}`;
}

function expired(): Outcome<never> {
  return refuse("session_expired", "this incarnation is over; register again");
}

function tooLong(maxTtlMs: number): Outcome<never> {
  const message = `must be at most ${maxTtlMs / 1000} (lock_config.max_ttl_seconds)`;
  const errors = [{ path: "ttl_seconds", message }];
  return { ok: false, problem: { code: "invalid_request", detail: "the body is not valid", errors } };
}

function staleToken(lock: LockRecord | undefined): Outcome<never> {
  return refuse("stale_fencing_token", "this grant is over: acquire the lock again", {
    fencing_token: lock?.fencingToken ?? null,
    holder: lock?.holder ?? null,
  });
}

function lockEvent(type: string, lock: LockRecord): EventDraft {
  return {
    type,
    subject: lock.resource,
    data: { holder: lock.holder, fencing_token: lock.fencingToken },
  };
}

function earliest(...instants: (number | null)[]): number | null {
  const known = instants.filter((atMs) => atMs !== null);
  return known.length === 0 ? null : Math.min(...known);
}
