/**
 * The live incarnations of a group, mirrored in memory. A heartbeat changes memory alone. Signs of life are flushed about
 * once a second, as one row for all agents; a sign that a crash may have lost counts in the agent's favour.
 */
import type { Load, SessionEndReason } from "../../../contract/agent.ts";
import {
  agentDeadlineMs,
  firstSign,
  isSilent,
  type SignsOfLife,
  withExtension,
  withPastSign,
  withSign,
  withWholeTimeout,
} from "../../../domain/liveness.ts";
import type { SessionEnd } from "../../../domain/session-end.ts";
import type { DrainChanged, RegisterSession, TimeoutsChanged } from "../../../protocol/messages.ts";
import { EndedSessionStore } from "../../../storage/agent-group/ended-sessions.ts";
import { type SessionRow, SessionStore } from "../../../storage/agent-group/sessions.ts";
import { SignsOfLifeStore } from "../../../storage/agent-group/signs-of-life.ts";
import type { Sql } from "../../../storage/sql.ts";
import type { Sockets } from "../../host.ts";

/** Signs of life younger than this may be missing from storage. */
const FLUSH_PERIOD_MS = 1000;

/** The first sign after a deadline extension is flushed sooner: in a crash loop it decides whether the silence ended. */
const EXTENDED_FLUSH_PERIOD_MS = 100;

export type Session = SessionRow & {
  life: SignsOfLife;
  load: Load | null;
  reportedLoad: { load: Load; atMs: number } | null;
  /** Hints from the coordinator's wake-ups. */
  assignedTasks: number;
  tasksChanged: boolean;
};

export class Sessions {
  readonly #sockets: Sockets;
  readonly #store: SessionStore;
  readonly #signs: SignsOfLifeStore;
  readonly #ended: EndedSessionStore;
  #byAgent = new Map<string, Session>();
  #freeSlots: number[] = [];
  #slotCount = 0;
  #flushedAtMs = 0;
  #hasSignAfterExtension = false;
  #hasEnds = false;
  #earliestDeadlineMs: number | null = null;
  #shortestTimeoutMs: number | null = null;

  constructor(sql: Sql, sockets: Sockets) {
    this.#sockets = sockets;
    this.#store = new SessionStore(sql);
    this.#signs = new SignsOfLifeStore(sql);
    this.#ended = new EndedSessionStore(sql);
  }

  /** @param latestSignMs no sign of life can have arrived later: now, or the end of an outage of the coordinator */
  load(latestSignMs: number): void {
    const signs = this.#signs.read();
    this.#hasEnds = this.#ended.isAny();
    this.#flushedAtMs = signs?.flushedAtMs ?? 0;
    // A heartbeat within one period of the last flush may have been answered and then lost.
    const possibleSignMs = Math.min(this.#flushedAtMs + FLUSH_PERIOD_MS, latestSignMs);
    this.#byAgent = new Map();
    this.#slotCount = 0;
    for (const row of this.#store.all()) {
      const flushed = signs?.at(row.slot);
      // A slot may still hold the signs of an agent that had it before.
      const life =
        flushed && flushed.lastSignMs >= row.registeredAtMs ? flushed : firstSign(row.registeredAtMs);
      this.#byAgent.set(row.agentId, {
        ...row,
        life: { ...life, extendedAtMs: Math.max(life.extendedAtMs, possibleSignMs) },
        load: null,
        reportedLoad: null,
        assignedTasks: 0,
        tasksChanged: false,
      });
      this.#slotCount = Math.max(this.#slotCount, row.slot + 1);
    }
    const taken = new Set([...this.#byAgent.values()].map((session) => session.slot));
    this.#freeSlots = [];
    for (let slot = this.#slotCount - 1; slot >= 0; slot--) if (!taken.has(slot)) this.#freeSlots.push(slot);
    this.#hasSignAfterExtension = false;
    this.recompute();
  }

  get count(): number {
    return this.#byAgent.size;
  }

  all(): Iterable<Session> {
    return this.#byAgent.values();
  }

  find(agentId: string): Session | undefined {
    return this.#byAgent.get(agentId);
  }

  /** The earliest instant at which an agent could be overdue; may be too early, never too late. */
  get earliestDeadlineMs(): number | null {
    return this.#earliestDeadlineMs;
  }

  get shortestTimeoutMs(): number | null {
    return this.#shortestTimeoutMs;
  }

  /** @param messagesFrom the number of the latest broadcast that is not for the agent */
  add(registration: RegisterSession, messagesFrom: number, nowMs: number): Session {
    const slot = this.#byAgent.get(registration.agentId)?.slot ?? this.#freeSlots.pop() ?? this.#slotCount++;
    const session: Session = {
      agentId: registration.agentId,
      slot,
      incarnation: registration.incarnation,
      intervalMs: registration.intervalMs,
      timeoutMs: registration.timeoutMs,
      registeredAtMs: nowMs,
      messagesFrom,
      connection: null,
      suspectUntilMs: null,
      drainMode: null,
      drainDeadlineMs: null,
      instance: registration.instance ?? null,
      replacedIncarnation: registration.replacedIncarnation ?? null,
      isReplacedAlive: false,
      life: firstSign(nowMs),
      load: null,
      reportedLoad: null,
      assignedTasks: 0,
      tasksChanged: false,
    };
    this.#store.save(session);
    this.#byAgent.set(session.agentId, session);
    this.#includeDeadline(session);
    this.#shortestTimeoutMs = Math.min(this.#shortestTimeoutMs ?? session.timeoutMs, session.timeoutMs);
    return session;
  }

  remove(session: Session, reason: SessionEndReason): void {
    this.#store.remove(session.agentId);
    this.#ended.save(session.agentId, { incarnation: session.incarnation, reason });
    this.#hasEnds = true;
    this.#byAgent.delete(session.agentId);
    this.#freeSlots.push(session.slot);
  }

  /** Why an incarnation that is not live has ended, for the answers to its calls. */
  endOf(agentId: string, incarnation: number | null): SessionEnd {
    const live = this.#byAgent.get(agentId);
    if (live !== undefined) return { reason: "superseded", supersededBy: live.instance };
    // A group that stores nothing yet has no tables to read.
    const ended = this.#hasEnds ? this.#ended.find(agentId) : undefined;
    const isOnRecord = ended !== undefined && ended.incarnation >= (incarnation ?? 0);
    return { reason: isOnRecord ? ended.reason : "expired", supersededBy: null };
  }

  /** The latest incarnation that has ended; null if none is on record. */
  endedIncarnation(agentId: string): number | null {
    return (this.#hasEnds && this.#ended.find(agentId)?.incarnation) || null;
  }

  /** The incarnation that this one replaced is heard of again. */
  replacedIsAlive(session: Session): void {
    session.isReplacedAlive = true;
    this.#store.save(session);
  }

  /** The agent has read every broadcast up to this one. */
  readThrough(session: Session, broadcast: number): void {
    session.messagesFrom = broadcast;
    this.#store.save(session);
  }

  /** The agent has a socket now. */
  connected(session: Session, connection: number): void {
    session.connection = connection;
    this.#store.save(session);
  }

  /** @param suspectUntilMs the end of the grace if the socket broke, null if it was closed in good order */
  disconnected(session: Session, suspectUntilMs: number | null): void {
    this.#readPing(session);
    session.connection = null;
    session.suspectUntilMs = suspectUntilMs;
    this.#store.save(session);
    this.#includeDeadline(session);
  }

  /** The suspect has shown a sign of life. */
  cleared(session: Session): void {
    session.suspectUntilMs = null;
    this.#store.save(session);
  }

  drained(session: Session, { mode, deadlineMs }: Pick<DrainChanged, "mode" | "deadlineMs">): void {
    session.drainMode = mode;
    session.drainDeadlineMs = deadlineMs;
    this.#store.save(session);
  }

  /** Each of these agents has one whole new timeout from now. An incarnation that has ended is left out. */
  changeTimeouts(timeouts: TimeoutsChanged["timeouts"], nowMs: number): void {
    this.readPings();
    for (const { agentId, incarnation, timeoutMs } of timeouts) {
      const session = this.#byAgent.get(agentId);
      if (session?.incarnation !== incarnation) continue;
      session.timeoutMs = timeoutMs;
      session.life = withWholeTimeout(session.life, nowMs);
      this.#store.save(session);
    }
    this.flush(nowMs);
    this.recompute();
  }

  /** Takes over the last `ping` of each socket: the platform keeps it and does not wake the object for it. */
  readPings(): void {
    for (const session of this.#byAgent.values()) this.#readPing(session);
  }

  /** The session's signs of life, its last `ping` included. */
  lifeOf(session: Session): SignsOfLife {
    this.#readPing(session);
    return session.life;
  }

  /** Records a sign of life, in memory. @returns whether it is time to flush */
  recordSign(session: Session, nowMs: number): boolean {
    if (session.life.extensions > 0) this.#hasSignAfterExtension = true;
    session.life = withSign(session.life, nowMs);
    return this.isFlushDue(nowMs);
  }

  isFlushDue(nowMs: number): boolean {
    const periodMs = this.#hasSignAfterExtension ? EXTENDED_FLUSH_PERIOD_MS : FLUSH_PERIOD_MS;
    return nowMs - this.#flushedAtMs >= periodMs;
  }

  flush(nowMs: number): void {
    this.#signs.flush(nowMs, this.#slotCount, this.#byAgent.values());
    this.#flushedAtMs = nowMs;
    this.#hasSignAfterExtension = false;
  }

  /** After an outage of the coordinator that ended at `fromMs`: every agent gets its whole timeout from then. */
  extendAll(fromMs: number, nowMs: number): void {
    this.readPings();
    for (const session of this.#byAgent.values()) this.#extend(session, fromMs);
    this.flush(nowMs);
    this.recompute();
  }

  overdue(nowMs: number): Session[] {
    return [...this.#byAgent.values()].filter((session) => deadlineOf(session) <= nowMs);
  }

  /** The agents that are silent for longer than a lost heartbeat explains, whether or not they are overdue. */
  silent(nowMs: number): Session[] {
    return [...this.#byAgent.values()].filter((session) => isSilent(session.life, session.intervalMs, nowMs));
  }

  /** Finds the true earliest deadline; the alarm does this when it runs. */
  recompute(): void {
    this.#earliestDeadlineMs = null;
    this.#shortestTimeoutMs = null;
    for (const session of this.#byAgent.values()) {
      this.#includeDeadline(session);
      this.#shortestTimeoutMs = Math.min(this.#shortestTimeoutMs ?? session.timeoutMs, session.timeoutMs);
    }
  }

  #readPing(session: Session): void {
    if (session.connection === null) return;
    const pingMs = this.#sockets.lastPingMs(session.connection);
    if (pingMs !== null && pingMs > session.life.lastSignMs)
      session.life = withPastSign(session.life, pingMs);
  }

  /** A suspect gets its whole timeout too: the outage may have broken its socket. */
  #extend(session: Session, fromMs: number): void {
    const extended = withExtension(session.life, fromMs);
    if (extended === session.life) return;
    session.life = extended;
    if (session.suspectUntilMs === null) return;
    session.suspectUntilMs = Math.max(session.suspectUntilMs, fromMs + session.timeoutMs);
    this.#store.save(session);
  }

  #includeDeadline(session: Session): void {
    const deadlineMs = deadlineOf(session);
    this.#earliestDeadlineMs = Math.min(this.#earliestDeadlineMs ?? deadlineMs, deadlineMs);
  }
}

export function deadlineOf({ life, timeoutMs, suspectUntilMs }: Session): number {
  return agentDeadlineMs(life, timeoutMs, suspectUntilMs);
}

/** A poll that is being answered proves nothing, so the next one has to come before the agent is overdue. */
export function pollLimitMs({ intervalMs, timeoutMs }: Session): number {
  return Math.min(intervalMs, timeoutMs / 2);
}
