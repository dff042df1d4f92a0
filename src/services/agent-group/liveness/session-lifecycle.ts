/**
 * How an incarnation's session begins, is suspected and ends, with everything that follows in the same transaction: its
 * locks are released, its waits for locks end, and the coordinator gets a message.
 *
 *   begin --> active --socket breaks--> suspect --sign of life--> active
 *                |                         |
 *                '------ end --------------'
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { expiredSession } from "../../../domain/session-end.ts";
import type { AgentEnded, RegisterSession } from "../../../protocol/messages.ts";
import { agentTopic, messageTopic } from "../../../protocol/wake-topics.ts";
import { Counter } from "../../../storage/counter.ts";
import type { Connection } from "../../host.ts";
import type { GroupContext } from "../group-context.ts";
import type { LockGranter } from "../locks/lock-granter.ts";
import type { Session, Sessions } from "./sessions.ts";

/** Why an incarnation ends. */
export type EndCause = Pick<AgentEnded, "ending" | "failureType" | "message" | "details">;

/** The failure's id, and the number of the outbox message that reports it to the coordinator. */
export type SessionEnd = { failureId: string; messageNumber: number };

type EndedSession = { agentId: string; connection: number | null; locksReleased: readonly string[] };

type Collaborators = Pick<
  GroupContext,
  "group" | "host" | "unit" | "settings" | "sessions" | "locks" | "mailboxes" | "frames" | "outbox"
>;

export class SessionLifecycle {
  readonly #context: Collaborators;
  readonly #granter: LockGranter;
  readonly #connectionNumbers: Counter;

  constructor(context: Collaborators, granter: LockGranter) {
    this.#context = context;
    this.#granter = granter;
    this.#connectionNumbers = new Counter(context.host.sql, "connection");
  }

  load(): void {
    this.#connectionNumbers.reload();
  }

  /** Begins the session of a new incarnation, and ends that of the one before. In the present transaction. */
  begin(registration: RegisterSession, nowMs: number): void {
    const { sessions, locks, settings, mailboxes } = this.#context;
    const { agentId, incarnation } = registration;
    const known = sessions.find(agentId);
    if (known !== undefined && known.incarnation >= incarnation) return;
    const { lockDelayMs } = settings;
    const locksReleased = locks.endAllOf(agentId, { ending: "holder_failed", lockDelayMs }, nowMs);
    // An agent that was live until now keeps its unread broadcasts.
    const messagesFrom = known?.messagesFrom ?? mailboxes.latestBroadcast;
    sessions.add(registration, messagesFrom, nowMs);
    this.#close({ agentId, connection: known?.connection ?? null, locksReleased }, nowMs);
    // The polls of the replaced incarnation end at once.
    if (known !== undefined) this.#wakePolls(agentId);
  }

  /** Records a sign of life, outside of any transaction. @returns null if the incarnation has ended */
  recordSign(agentId: string, incarnation: number): Session | null {
    const { unit, sessions } = this.#context;
    const session = unit.read(() => sessions.find(agentId));
    if (session === undefined || session.incarnation !== incarnation) {
      if (session !== undefined) this.#noteReplaced(session, incarnation);
      return null;
    }
    const isFlushDue = sessions.recordSign(session, unit.nowMs());
    const isSuspect = session.suspectUntilMs !== null;
    if (isFlushDue || isSuspect) {
      unit.commit((nowMs) => {
        if (isFlushDue) sessions.flush(nowMs);
        if (isSuspect) this.#clear(session);
      });
    }
    return session;
  }

  /** Gives the incarnation a connection; the one that it had is closed. */
  connect(agentId: string, incarnation: number): Outcome<Connection> {
    const { unit, sessions, frames } = this.#context;
    if (this.recordSign(agentId, incarnation) === null) return sessionExpired(sessions, agentId, incarnation);
    return unit.commit(() => {
      const session = sessions.find(agentId);
      if (session?.incarnation !== incarnation) return sessionExpired(sessions, agentId, incarnation);
      const replaced = session.connection;
      const number = this.#connectionNumbers.take();
      sessions.connected(session, number);
      if (replaced !== null) unit.afterCommit(() => frames.close(replaced, "replaced"));
      return ok({ agentId, incarnation, number });
    });
  }

  /** The agent's socket broke without a close frame: the agent may be gone. In the present transaction. */
  suspect(session: Session, nowMs: number): void {
    const { sessions, settings, outbox } = this.#context;
    const untilMs = nowMs + settings.reconnectGraceMs;
    sessions.disconnected(session, untilMs);
    if (sessions.isFlushDue(nowMs)) sessions.flush(nowMs);
    const { agentId, incarnation } = session;
    outbox.send("coordinator", { type: "agent_suspect", agentId, incarnation, untilMs });
  }

  /** The socket was closed in good order: requests for locks that came over it wait no longer. In the present transaction. */
  disconnect(session: Session, nowMs: number): void {
    this.disconnectForRenewal(session, nowMs);
    this.#granter.leaveFramesOf(session.agentId);
  }

  /** The group closed the socket so that the agent opens another, and keeps its queue positions. In the present transaction. */
  disconnectForRenewal(session: Session, nowMs: number): void {
    const { sessions } = this.#context;
    sessions.disconnected(session, session.suspectUntilMs);
    if (sessions.isFlushDue(nowMs)) sessions.flush(nowMs);
  }

  /** Ends the incarnation: nothing that it sends is accepted any more. In the present transaction. */
  end(session: Session, cause: EndCause, nowMs: number): SessionEnd {
    const { group, host, settings, sessions, locks, mailboxes, outbox } = this.#context;
    const { agentId, incarnation } = session;
    // With failover off a failed agent's locks end by their TTL alone.
    const keepsLocks = cause.ending === "failed" && !settings.failoverEnabled;
    const ending = cause.ending === "failed" ? "holder_failed" : "holder_unregistered";
    const how = { ending, lockDelayMs: settings.lockDelayMs } as const;
    const locksReleased = keepsLocks ? [] : locks.endAllOf(agentId, how, nowMs);
    const lastSignMs = sessions.lifeOf(session).lastSignMs;
    sessions.remove(session, cause.ending);
    this.#close({ agentId, connection: session.connection, locksReleased }, nowMs);
    mailboxes.leave(agentId);
    if (cause.ending === "unregistered") mailboxes.empty(agentId);
    const failureId = host.randomId();
    const messageNumber = outbox.send("coordinator", {
      type: "agent_ended",
      agentId,
      incarnation,
      group,
      ...cause,
      failureId,
      lastSignMs,
      declaredAtMs: nowMs,
      locksReleased,
    });
    this.#wakePolls(agentId);
    return { failureId, messageNumber };
  }

  /** The agent's long polls read again, and find that their incarnation has ended. */
  #wakePolls(agentId: string): void {
    const { unit, host } = this.#context;
    unit.afterCommit(() => {
      host.wakeups.wake(agentTopic(agentId));
      host.wakeups.wake(messageTopic(agentId));
    });
  }

  /** A call of an ended incarnation. If the live one replaced it, two processes live under one id. */
  #noteReplaced(session: Session, incarnation: number): void {
    if (session.replacedIncarnation !== incarnation || session.isReplacedAlive) return;
    const { unit, sessions, outbox } = this.#context;
    unit.commit(() => {
      sessions.replacedIsAlive(session);
      outbox.send("coordinator", { type: "replaced_agent_alive", agentId: session.agentId, incarnation });
    });
  }

  /** Grants what the ended incarnation held to the next waiters, and closes its socket. In the present transaction. */
  #close({ agentId, connection, locksReleased }: EndedSession, nowMs: number): void {
    const { unit, frames } = this.#context;
    this.#granter.leaveAllOf(agentId);
    for (const resource of locksReleased) this.#granter.grantNext(resource, nowMs);
    if (connection === null) return;
    const end = this.#context.sessions.endOf(agentId, null);
    unit.afterCommit(() => frames.expire(connection, end));
  }

  /** The suspect has shown a sign of life. */
  #clear(session: Session): void {
    this.#context.sessions.cleared(session);
    const { agentId, incarnation } = session;
    this.#context.outbox.send("coordinator", { type: "agent_cleared", agentId, incarnation });
  }
}

/** @param incarnation null if the caller names none */
export function sessionExpired(
  sessions: Pick<Sessions, "endOf">,
  agentId: string,
  incarnation: number | null,
): Outcome<never> {
  return expiredSession(sessions.endOf(agentId, incarnation));
}

/** For an operator, who names no incarnation. */
export function noLiveAgent(): Outcome<never> {
  return refuse("not_found", "no agent with this id is live in this group; register the agent first");
}
