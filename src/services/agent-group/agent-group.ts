/**
 * What an agent group does: it is the authority for its agents' liveness, sockets and message boxes
 * and for its locks, and knows nothing of tasks. This class is the door; the parts behind it do the work.
 *
 *   coordinator --register_session, forget_agent, configure_group, broadcast, drain_changed--> group
 *   group --agent_ended, agent_suspect, agent_cleared, agents_silent, load_reported, events_recorded--> coordinator
 *
 *   Watch (the alarm), Requests --> LockDesk, MessageDesk --> Ledger (sessions, locks, messages, outbox)
 *   MessageDesk --> Pushes --> Ledger
 */
import type {
  AgentLiveness,
  FailureReport,
  Heartbeat,
  HeartbeatAnswer,
  HeartbeatBatch,
} from "../../contract/agent.ts";
import { instant } from "../../contract/instant.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { type AgentPrincipal, agentOf, type Principal } from "../../domain/principal.ts";
import type { MessageBatch, Receipt } from "../../protocol/message-batch.ts";
import type { OutboxMessage, RegisterSession } from "../../protocol/messages.ts";
import type { AgentWakeup } from "../../protocol/object-calls.ts";
import { agentTopic } from "../../protocol/wake-topics.ts";
import { AGENT_GROUP_MIGRATIONS } from "../../storage/agent-group/schema.ts";
import { Counter } from "../../storage/counter.ts";
import type { Connection, Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { type Cause, type Ending, GroupContext, type GroupName } from "./group-context.ts";
import { LivenessMonitor } from "./liveness/liveness-monitor.ts";
import { deadlineOf } from "./liveness/sessions.ts";
import { LockService } from "./locks/lock-service.ts";
import { MailboxService } from "./mailbox/mailbox-service.ts";
import { noLiveAgent, sessionExpired } from "./refusals.ts";
import { AgentPushes } from "./sockets/agent-pushes.ts";
import { FrameHandler } from "./sockets/frame-handler.ts";

/** How long a call waits for the coordinator to have heard of what it did. */
const HEARD_LIMIT_MS = 2000;

export class AgentGroup {
  readonly locks: LockService;
  readonly messages: MailboxService;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #context: GroupContext;
  readonly #monitor: LivenessMonitor;
  readonly #inbox: Inbox;
  readonly #pushes: AgentPushes;
  readonly #requests: FrameHandler;
  readonly #connectionNumbers: Counter;

  constructor(host: Host, name: GroupName) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: AGENT_GROUP_MIGRATIONS,
      load: (nowMs) => {
        this.#context.load(nowMs);
        this.#monitor.load(nowMs);
        this.#connectionNumbers.reload();
      },
      nextWorkMs: () => this.#monitor.nextWorkMs(),
    });
    this.#context = new GroupContext(host, this.#unit, name);
    this.#monitor = new LivenessMonitor(this.#context);
    this.#pushes = new AgentPushes(this.#context);
    this.locks = new LockService(this.#context);
    this.messages = new MailboxService(this.#context, this.#pushes);
    this.#requests = new FrameHandler(this.#context, this.locks, this.messages, this.#pushes);
    this.#context.frames.onEnd((connection) => {
      this.#pushes.forget(connection);
      this.#requests.forget(connection);
    });
    this.#connectionNumbers = new Counter(host.sql, "connection");
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  // From the coordinator

  receive(parcel: MessageBatch): Receipt {
    return this.#inbox.receive(parcel);
  }

  /** Hints that an agent's task list changed: wakes its waiting poll, and tells its socket. */
  wakeAgent({ agentId, assignedTasks, revoked = [] }: AgentWakeup): void {
    const session = this.#unit.read(() => this.#context.sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = true;
    this.#host.wakeups.wake(agentTopic(agentId));
    this.#pushes.tasksChanged(agentId, revoked);
  }

  // Sockets

  /** A socket that is being opened for this incarnation; the one that it had is closed. */
  connect({ agentId, incarnation }: AgentPrincipal): Outcome<Connection> {
    if (this.#context.recordSign(agentId, incarnation) === null) return sessionExpired();
    return this.#unit.commit(() => {
      const session = this.#context.sessions.find(agentId);
      if (session?.incarnation !== incarnation) return sessionExpired();
      const replaced = session.connection;
      const number = this.#connectionNumbers.take();
      this.#context.sessions.connected(session, number);
      if (replaced !== null) {
        this.#unit.afterCommit(() => this.#context.frames.close(replaced, "replaced"));
      }
      return ok({ agentId, incarnation, number });
    });
  }

  /** The socket is open: whatever waits for the agent goes over it. */
  connected({ agentId, number }: Connection): void {
    this.#host.defer(() => {
      const session = this.#unit.read(() => this.#context.sessions.find(agentId));
      if (session?.connection === number) this.#pushes.pushAll(agentId);
    });
  }

  /** Something came over a socket. */
  receiveFrames(connection: Connection, data: string | ArrayBuffer): void {
    this.#requests.receive(connection, data);
  }

  /** A socket ended. @param isClean in good order, by a close frame or by us */
  disconnected({ agentId, number }: Connection, isClean: boolean): void {
    this.#context.frames.forget(number);
    const session = this.#unit.read(() => this.#context.sessions.find(agentId));
    // One that was replaced, or whose incarnation is over, says nothing.
    if (session?.connection !== number) return;
    this.#unit.commit((nowMs) => {
      if (isClean) this.#context.disconnect(session, nowMs);
      else this.#context.suspect(session, nowMs);
    });
  }

  // Signs of life

  /** An operator may send the heartbeat of an agent, which counts for the incarnation that is live. */
  heartbeat(agentId: string, heartbeat: Heartbeat, principal: Principal): Outcome<HeartbeatAnswer> {
    const caller = agentOf(principal);
    const incarnation = caller === null ? this.#liveIncarnation(agentId) : caller.incarnation;
    return incarnation === null ? noLiveAgent() : this.#heartbeat(agentId, incarnation, heartbeat);
  }

  #heartbeat(agentId: string, incarnation: number, { load }: Heartbeat): Outcome<HeartbeatAnswer> {
    const session = this.#context.recordSign(agentId, incarnation);
    if (session === null) return sessionExpired();
    if (load !== undefined && this.#context.noteLoad(session, load)) {
      this.#unit.commit((nowMs) => this.#context.reportLoad(session, load, nowMs));
    }
    const answer: HeartbeatAnswer = {
      // Never suspect: this very call shows that it lives.
      status: session.drainMode === null ? "active" : "draining",
      deadline_at: instant(deadlineOf(session)),
      assigned_tasks: session.assignedTasks,
      unread_messages: this.#context.mailboxes.unreadCountOf(session),
      tasks_changed: session.tasksChanged,
    };
    return ok(answer);
  }

  /** Of many agents at once, as a gateway tells them; an answer each, in order. */
  heartbeatAll(beats: HeartbeatBatch["agents"]): Outcome<HeartbeatAnswer>[] {
    return beats.map(({ id, incarnation, load }) =>
      this.#heartbeat(id, incarnation, load === undefined ? {} : { load }),
    );
  }

  #liveIncarnation(agentId: string): number | null {
    return this.#unit.read(() => this.#context.sessions.find(agentId)?.incarnation ?? null);
  }

  /** Any authenticated call by an incarnation shows that it lives. */
  signOfLife({ agentId, incarnation }: AgentPrincipal): Outcome<{ intervalMs: number }> {
    const session = this.#context.recordSign(agentId, incarnation);
    return session === null ? sessionExpired() : ok({ intervalMs: session.intervalMs });
  }

  /** The agent read its task list: the doorbell is answered. */
  recordTaskListRead(agentId: string, assignedTasks: number): void {
    const session = this.#unit.read(() => this.#context.sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = false;
  }

  liveness(agentIds: readonly string[]): AgentLiveness[] {
    return this.#unit.read(() =>
      agentIds.flatMap((agentId) => {
        const session = this.#context.sessions.find(agentId);
        if (session === undefined) return [];
        return {
          agent_id: agentId,
          incarnation: session.incarnation,
          last_heartbeat_at: instant(this.#context.sessions.lifeOf(session).lastSignMs),
          deadline_at: instant(deadlineOf(session)),
          load: session.load,
        };
      }),
    );
  }

  // Endings that somebody asked for

  /** An operator ends the incarnation that is live. */
  async unregister(agentId: string, principal: Principal): Promise<Outcome<null>> {
    const ended = await this.#endOnRequest(agentId, agentOf(principal)?.incarnation ?? null, {
      ending: "unregistered",
      failureType: "unregistered",
      message: "unregistered",
      details: {},
    });
    return ended.ok ? ok(null) : ended;
  }

  /** A failure seen elsewhere. @returns the id of the failure's record */
  async reportFailure(agentId: string, report: FailureReport): Promise<Outcome<{ failureId: string }>> {
    const ended = await this.#endOnRequest(agentId, report.incarnation ?? null, {
      ending: "failed",
      failureType: report.failure_type,
      message: report.message ?? `reported as failed: ${report.failure_type}`,
      details: report.details ?? {},
    });
    if (!ended.ok || ended.value.isHeard) return ended;
    return refuse(
      "unavailable",
      "the agent is declared failed; its record will follow when the coordinator answers",
    );
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform tells */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => this.#monitor.run(scheduledMs, nowMs));
  }

  #apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "register_session":
        this.#registerSession(message, nowMs);
        return null;
      case "forget_agent":
        this.#context.mailboxes.empty(message.agentId);
        return null;
      case "configure_group":
        this.#context.configure(message.settings);
        return null;
      case "broadcast":
        this.messages.broadcast(message);
        return null;
      case "drain_changed": {
        const session = this.#context.sessions.find(message.agentId);
        if (session?.incarnation !== message.incarnation) return null;
        this.#context.sessions.drained(session, message);
        this.#unit.afterCommit(() => this.#pushes.pushDrain(message.agentId));
        return null;
      }
      default:
        return `a group knows no message "${message.type}"`;
    }
  }

  #registerSession(admission: RegisterSession, nowMs: number): void {
    const { sessions, locks, settings, mailboxes: messages } = this.#context;
    const known = sessions.find(admission.agentId);
    if (known !== undefined && known.incarnation >= admission.incarnation) return;
    const freed = locks.endAllOf(admission.agentId, settings.lockDelayMs, nowMs);
    // Who was live all along keeps its unread broadcasts.
    const messagesFrom = known?.messagesFrom ?? messages.latestBroadcast;
    sessions.add(admission, messagesFrom, nowMs);
    this.#context.closeSession(admission.agentId, known?.connection ?? null, freed, nowMs);
  }

  async #endOnRequest(
    agentId: string,
    incarnation: number | null,
    cause: Cause,
  ): Promise<Outcome<Ending & { isHeard: boolean }>> {
    const ended = this.#unit.commit((nowMs): Outcome<Ending> => {
      const session = this.#context.sessions.find(agentId);
      if (session === undefined) return sessionExpired();
      if (incarnation !== null && session.incarnation !== incarnation) return sessionExpired();
      return ok(this.#context.end(session, cause, nowMs));
    });
    if (!ended.ok) return ended;
    const isHeard = await this.#context.outbox.delivered("coordinator", ended.value.number, HEARD_LIMIT_MS);
    return ok({ ...ended.value, isHeard });
  }
}
