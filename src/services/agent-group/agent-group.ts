/**
 * What an agent group does: it is the authority for its agents' liveness, sockets and mailboxes and for its locks, and
 * knows nothing of tasks. This class is the entry point for calls and messages; its parts do the work.
 *
 *   coordinator --register_session, forget_agent, configure_group, timeouts_changed, broadcast, drain_changed--> group
 *   group --agent_ended, agent_suspect, agent_cleared, replaced_agent_alive, agents_silent, load_reported,
 *           events_recorded--> coordinator
 *
 *   FrameHandler --> LockService, MailboxService, LoadReports
 *   LivenessMonitor (the alarm), LockService --> SessionLifecycle, LockGranter --> GroupContext
 *   MailboxService --> AgentPushes --> GroupContext
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
import type { SessionState } from "../../domain/replacement.ts";
import type { MessageBatch, Receipt } from "../../protocol/message-batch.ts";
import type { OutboxMessage } from "../../protocol/messages.ts";
import type { AgentWakeup } from "../../protocol/object-calls.ts";
import { agentTopic } from "../../protocol/wake-topics.ts";
import { AGENT_GROUP_MIGRATIONS } from "../../storage/agent-group/schema.ts";
import type { Connection, Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { GroupContext, type GroupName } from "./group-context.ts";
import { LivenessMonitor } from "./liveness/liveness-monitor.ts";
import { LoadReports } from "./liveness/load-reports.ts";
import {
  type EndCause,
  noLiveAgent,
  type SessionEnd,
  SessionLifecycle,
  sessionExpired,
} from "./liveness/session-lifecycle.ts";
import { deadlineOf, pollLimitMs } from "./liveness/sessions.ts";
import { LockGranter } from "./locks/lock-granter.ts";
import { LockService } from "./locks/lock-service.ts";
import { MailboxService } from "./mailbox/mailbox-service.ts";
import { AgentPushes } from "./sockets/agent-pushes.ts";
import { FrameHandler } from "./sockets/frame-handler.ts";

/** How long a call waits for the coordinator to acknowledge the end of an incarnation. */
const ACKNOWLEDGEMENT_LIMIT_MS = 2000;

/** For how long a long poll of the agent may wait. */
export type PollLimit = { pollLimitMs: number };

export class AgentGroup {
  readonly locks: LockService;
  readonly messages: MailboxService;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #context: GroupContext;
  readonly #lifecycle: SessionLifecycle;
  readonly #loads: LoadReports;
  readonly #monitor: LivenessMonitor;
  readonly #inbox: Inbox;
  readonly #pushes: AgentPushes;
  readonly #frames: FrameHandler;

  constructor(host: Host, name: GroupName) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: AGENT_GROUP_MIGRATIONS,
      load: (nowMs) => {
        this.#context.load(nowMs);
        granter.load();
        this.#lifecycle.load();
        this.#monitor.load(nowMs);
      },
      nextWorkMs: () => this.#monitor.nextWorkMs(),
    });
    const context = new GroupContext(host, this.#unit, name);
    const granter = new LockGranter(context);
    const lifecycle = new SessionLifecycle(context, granter);
    const loads = new LoadReports(context);
    const pushes = new AgentPushes(context);
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#loads = loads;
    this.#pushes = pushes;
    this.#monitor = new LivenessMonitor(context, lifecycle, granter);
    this.locks = new LockService(context, lifecycle, granter);
    this.messages = new MailboxService(context, lifecycle, pushes);
    const { locks, messages } = this;
    this.#frames = new FrameHandler(context, { lifecycle, loads, locks, messages, pushes });
    context.frames.onForget((connection) => {
      this.#pushes.forget(connection);
      this.#frames.forget(connection);
    });
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  // From the coordinator

  receive(batch: MessageBatch): Receipt {
    return this.#inbox.receive(batch);
  }

  /** Hints that an agent's task list changed: wakes its long poll, and pushes the changes over its socket. */
  wakeAgent({ agentId, assignedTasks, revoked = [] }: AgentWakeup): void {
    const session = this.#unit.read(() => this.#context.sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = true;
    this.#host.wakeups.wake(agentTopic(agentId));
    this.#pushes.tasksChanged(agentId, revoked);
  }

  // Sockets

  /** Gives the incarnation a connection, before its socket is opened; the one that it had is closed. */
  connect({ agentId, incarnation }: AgentPrincipal): Outcome<Connection> {
    return this.#lifecycle.connect(agentId, incarnation);
  }

  /** The socket is open: everything that waits for the agent is pushed. */
  connected({ agentId, number }: Connection): void {
    this.#host.defer(() => {
      const session = this.#unit.read(() => this.#context.sessions.find(agentId));
      if (session?.connection === number) this.#pushes.pushAll(agentId);
    });
  }

  /** Frames came over a socket. */
  receiveFrames(connection: Connection, data: string | ArrayBuffer): void {
    this.#frames.receive(connection, data);
  }

  /** A socket ended. @param isClean in good order, by a close frame or by the group */
  disconnected({ agentId, number }: Connection, isClean: boolean): void {
    this.#context.frames.forget(number);
    const session = this.#unit.read(() => this.#context.sessions.find(agentId));
    // The end of a socket that was replaced, or whose incarnation has ended, changes nothing.
    if (session?.connection !== number) return;
    this.#unit.commit((nowMs) => {
      if (isClean) this.#lifecycle.disconnect(session, nowMs);
      else this.#lifecycle.suspect(session, nowMs);
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
    const session = this.#lifecycle.recordSign(agentId, incarnation);
    if (session === null) return sessionExpired(this.#context.sessions, agentId, incarnation);
    if (load !== undefined && this.#loads.record(session, load)) {
      this.#unit.commit((nowMs) => this.#loads.report(session, load, nowMs));
    }
    const answer: HeartbeatAnswer = {
      // Never suspect: this call is a sign of life.
      status: session.drainMode === null ? "active" : "draining",
      deadline_at: instant(deadlineOf(session)),
      assigned_tasks: session.assignedTasks,
      unread_messages: this.#context.mailboxes.unreadCountOf(session),
      tasks_changed: session.tasksChanged,
    };
    return ok(answer);
  }

  /** Heartbeats of many agents, from a gateway; an answer for each, in order. */
  heartbeatAll(beats: HeartbeatBatch["agents"]): Outcome<HeartbeatAnswer>[] {
    return beats.map(({ id, incarnation, load }) =>
      this.#heartbeat(id, incarnation, load === undefined ? {} : { load }),
    );
  }

  #liveIncarnation(agentId: string): number | null {
    return this.#unit.read(() => this.#context.sessions.find(agentId)?.incarnation ?? null);
  }

  /** Any authenticated call by an incarnation is a sign of life. @returns for how long it may poll at most */
  signOfLife({ agentId, incarnation }: AgentPrincipal): Outcome<PollLimit> {
    const session = this.#lifecycle.recordSign(agentId, incarnation);
    if (session === null) return sessionExpired(this.#context.sessions, agentId, incarnation);
    return ok({ pollLimitMs: pollLimitMs(session) });
  }

  /** Whether an incarnation is live, for a call of the past: this is no sign of life. */
  checkSession({ agentId, incarnation }: AgentPrincipal): Outcome<null> {
    const { sessions } = this.#context;
    const session = this.#unit.read(() => sessions.find(agentId));
    return session?.incarnation === incarnation ? ok(null) : sessionExpired(sessions, agentId, incarnation);
  }

  /** For a registration that would end the live incarnation. */
  sessionState(agentId: string): SessionState {
    return this.#unit.read(() => {
      const { sessions, locks } = this.#context;
      const session = sessions.find(agentId);
      const endedIncarnation = sessions.endedIncarnation(agentId);
      if (session === undefined) return { live: null, endedIncarnation };
      const { incarnation, registeredAtMs, isReplacedAlive } = session;
      const { lastSignMs } = sessions.lifeOf(session);
      const isHeard = lastSignMs > registeredAtMs;
      const held = locks.heldBy(agentId).map(({ resource }) => resource);
      return {
        live: { incarnation, isHeard, lastSignMs, isReplacedAlive, locks: held },
        endedIncarnation,
      };
    });
  }

  /** The agent read its task list: the hint that it changed is used up. */
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

  // Ends of incarnations by request

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
    if (!ended.ok || ended.value.isAcknowledged) return ended;
    return refuse(
      "unavailable",
      "the agent is declared failed; the coordinator has not answered yet and will record the failure when it does",
    );
  }

  // The alarm

  /** @param scheduledMs when this alarm was due, if the platform says so */
  onAlarm(scheduledMs: number | null): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => this.#monitor.run(scheduledMs, nowMs));
  }

  #apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "register_session":
        this.#lifecycle.begin(message, nowMs);
        return null;
      case "forget_agent":
        this.#context.mailboxes.empty(message.agentId);
        return null;
      case "configure_group":
        this.#context.configure(message.settings);
        return null;
      case "timeouts_changed":
        this.#context.sessions.changeTimeouts(message.timeouts, nowMs);
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

  async #endOnRequest(
    agentId: string,
    incarnation: number | null,
    cause: EndCause,
  ): Promise<Outcome<SessionEnd & { isAcknowledged: boolean }>> {
    const ended = this.#unit.commit((nowMs): Outcome<SessionEnd> => {
      const session = this.#context.sessions.find(agentId);
      if (session === undefined || (incarnation !== null && session.incarnation !== incarnation)) {
        return sessionExpired(this.#context.sessions, agentId, incarnation);
      }
      return ok(this.#lifecycle.end(session, cause, nowMs));
    });
    if (!ended.ok) return ended;
    const isAcknowledged = await this.#context.outbox.delivered(
      "coordinator",
      ended.value.messageNumber,
      ACKNOWLEDGEMENT_LIMIT_MS,
    );
    return ok({ ...ended.value, isAcknowledged });
  }
}
