/** What the parts of an agent group share: its records, its outbox, and how an incarnation is doubted and ends. */
import type { Load } from "../../contract/agent.ts";
import type { EventDraft } from "../../contract/event.ts";
import { isRestart } from "../../domain/pause.ts";
import type { AgentEnded, GroupSettings } from "../../protocol/messages.ts";
import { agentTopic, messageTopic } from "../../protocol/wake-topics.ts";
import { MetaStore } from "../../storage/meta.ts";
import type { Host } from "../host.ts";
import { Outbox } from "../outbox.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { isWorthReporting } from "./liveness/load-reports.ts";
import { type Session, Sessions } from "./liveness/sessions.ts";
import { LockCache } from "./locks/lock-cache.ts";
import { LockGranter } from "./locks/lock-granter.ts";
import { LockQueue } from "./locks/lock-queue.ts";
import { Mailboxes } from "./mailbox/mailboxes.ts";
import { FrameSender } from "./sockets/frame-sender.ts";

/** Before the coordinator's first word, see GroupSettings. */
const SETTINGS_AT_FIRST: GroupSettings = {
  version: 0,
  failoverEnabled: true,
  reconnectGraceMs: 5000,
  defaultLockTtlMs: 30_000,
  maxLockTtlMs: 3_600_000,
  lockDelayMs: 0,
};

/** Keeps a message well below what a row may hold. */
const EVENTS_PER_MESSAGE = 100;

/** Why an incarnation ends. */
export type Cause = Pick<AgentEnded, "ending" | "failureType" | "message" | "details">;

/** The failure's id, and the number of the message that tells the coordinator. */
export type Ending = { failureId: string; number: number };

export type GroupName = { cluster: string; group: string };

export class GroupContext {
  readonly cluster: string;
  readonly group: string;
  readonly host: Host;
  readonly unit: UnitOfWork;
  readonly meta: MetaStore;
  readonly sessions: Sessions;
  readonly locks: LockCache;
  readonly lockQueue: LockQueue;
  readonly lockGranter: LockGranter;
  readonly mailboxes: Mailboxes;
  readonly frames: FrameSender;
  readonly outbox: Outbox;
  #settings = SETTINGS_AT_FIRST;

  constructor(host: Host, unit: UnitOfWork, { cluster, group }: GroupName) {
    this.cluster = cluster;
    this.group = group;
    this.host = host;
    this.unit = unit;
    this.meta = new MetaStore(host.sql);
    this.sessions = new Sessions(host.sql, host.sockets);
    this.locks = new LockCache(host.sql);
    this.lockQueue = new LockQueue(host.sql);
    this.frames = new FrameSender(host.sockets);
    const { sessions, locks, lockQueue: line, frames: connections } = this;
    this.lockGranter = new LockGranter({
      host,
      unit,
      group,
      sessions,
      locks,
      queue: line,
      frames: connections,
    });
    this.mailboxes = new Mailboxes(host.sql);
    this.outbox = new Outbox(host, unit, this.meta, ({ receiver, messageType, reason }, nowMs) => {
      host.log.line("error", "message_dead_lettered", { receiver, message_type: messageType, reason });
      // An event about a refused event could go on for ever.
      if (messageType === "events_recorded") return;
      this.recordEvents(nowMs, [
        {
          type: "message.dead_lettered",
          subject: `group/${group}`,
          data: { message_type: messageType, reason },
        },
      ]);
    });
  }

  load(nowMs: number): void {
    if (this.meta.read("stream_id") === null) this.meta.write("stream_id", this.host.randomId());
    const settings = this.meta.read("settings");
    this.#settings = settings === null ? SETTINGS_AT_FIRST : (JSON.parse(settings) as GroupSettings);
    this.sessions.load(this.isRestarted() ? this.backSinceMs(nowMs) : nowMs);
    this.locks.load();
    this.lockQueue.load();
    this.lockGranter.load();
    this.mailboxes.load();
    this.outbox.load();
  }

  /** Whether this is the first instance under this boot id, and there was another. */
  isRestarted(): boolean {
    return isRestart(this.meta.read("boot_id"), this.host.bootId);
  }

  /** After a restart: since when agents could reach us again. */
  backSinceMs(nowMs: number): number {
    return this.host.reachableSinceMs() ?? nowMs;
  }

  get settings(): GroupSettings {
    return this.#settings;
  }

  configure(settings: GroupSettings): void {
    this.#settings = settings;
    this.meta.write("settings", JSON.stringify(settings));
  }

  /** Notes a sign of life, outside of any transaction. @returns null if that incarnation is over */
  recordSign(agentId: string, incarnation: number): Session | null {
    const session = this.unit.read(() => this.sessions.find(agentId));
    if (session === undefined || session.incarnation !== incarnation) return null;
    const isFlushDue = this.sessions.sign(session, this.unit.nowMs());
    const isSuspect = session.suspectUntilMs !== null;
    if (isFlushDue || isSuspect) {
      this.unit.commit((nowMs) => {
        if (isFlushDue) this.sessions.flush(nowMs);
        if (isSuspect) this.#clear(session);
      });
    }
    return session;
  }

  /** Its socket broke without a word: it may be gone. In the present transaction. */
  suspect(session: Session, nowMs: number): void {
    const untilMs = nowMs + this.#settings.reconnectGraceMs;
    this.sessions.disconnected(session, untilMs);
    if (this.sessions.isFlushDue(nowMs)) this.sessions.flush(nowMs);
    const { agentId, incarnation } = session;
    this.outbox.send("coordinator", { type: "agent_suspect", agentId, incarnation, untilMs });
  }

  /** Its socket was closed in good order, and with it whatever it waited for over it. In the present transaction. */
  disconnect(session: Session, nowMs: number): void {
    this.disconnectForRenewal(session, nowMs);
    this.lockGranter.leaveFramesOf(session.agentId);
  }

  /** Its socket was closed by us, to be followed by another, which finds what waited. In the present transaction. */
  disconnectForRenewal(session: Session, nowMs: number): void {
    this.sessions.disconnected(session, session.suspectUntilMs);
    if (this.sessions.isFlushDue(nowMs)) this.sessions.flush(nowMs);
  }

  /** Notes a load. @returns whether it is worth a message to the coordinator */
  noteLoad(session: Session, load: Load): boolean {
    session.load = load;
    return isWorthReporting(session.reportedLoad, load, this.unit.nowMs());
  }

  /** Tells the coordinator of a load, in the present transaction. */
  reportLoad(session: Session, load: Load, nowMs: number): void {
    const { agentId, incarnation } = session;
    session.reportedLoad = { load, atMs: nowMs };
    this.outbox.send("coordinator", { type: "load_reported", agentId, incarnation, load });
  }

  /** Fences the incarnation, frees its locks, empties its box if it leaves, and tells the coordinator: all in the present transaction. */
  end(session: Session, cause: Cause, nowMs: number): Ending {
    // With failover off a failed agent's locks end by their TTL alone.
    const keepsLocks = cause.ending === "failed" && !this.#settings.failoverEnabled;
    const lockDelayMs = cause.ending === "failed" ? this.#settings.lockDelayMs : 0;
    const locksReleased = keepsLocks ? [] : this.locks.endAllOf(session.agentId, lockDelayMs, nowMs);
    const lastSignMs = this.sessions.lifeOf(session).lastSignMs;
    this.sessions.remove(session);
    this.closeSession(session.agentId, session.connection, locksReleased, nowMs);
    this.mailboxes.leave(session.agentId);
    if (cause.ending === "unregistered") this.mailboxes.empty(session.agentId);
    const failureId = this.host.randomId();
    const number = this.outbox.send("coordinator", {
      type: "agent_ended",
      agentId: session.agentId,
      incarnation: session.incarnation,
      group: this.group,
      ...cause,
      failureId,
      lastSignMs,
      declaredAtMs: nowMs,
      locksReleased,
    });
    this.unit.afterCommit(() => {
      this.host.wakeups.wake(agentTopic(session.agentId));
      this.host.wakeups.wake(messageTopic(session.agentId));
    });
    return { failureId, number };
  }

  /** An incarnation is over: what it held goes to who waits, and its socket is closed. In the present transaction. */
  closeSession(
    agentId: string,
    connection: number | null,
    locksReleased: readonly string[],
    nowMs: number,
  ): void {
    this.lockGranter.leaveAllOf(agentId);
    for (const resource of locksReleased) this.lockGranter.grantNext(resource, nowMs);
    if (connection !== null) this.unit.afterCommit(() => this.frames.expire(connection));
  }

  #clear(session: Session): void {
    this.sessions.cleared(session);
    const { agentId, incarnation } = session;
    this.outbox.send("coordinator", { type: "agent_cleared", agentId, incarnation });
  }

  /** Adds events of the group's own to the cluster's log. */
  recordEvents(nowMs: number, events: EventDraft[]): void {
    for (let from = 0; from < events.length; from += EVENTS_PER_MESSAGE) {
      const some = events.slice(from, from + EVENTS_PER_MESSAGE);
      this.outbox.send("coordinator", { type: "events_recorded", atMs: nowMs, events: some });
    }
  }
}
