/**
 * What an agent group does: it is the authority for its agents' liveness and message boxes
 * and for its locks, and knows nothing of tasks. This class is the door; the parts behind it do the work.
 *
 *   coordinator --admit, forget, configure, broadcast--> group --agent_ended, agents_silent, load_reported,
 *   events_noted--> coordinator
 *
 *   Watch (the alarm), LockDesk, MessageDesk --> Ledger (sessions, locks, messages, outbox)
 */
import type { AgentLiveness, FailureReport, Heartbeat, HeartbeatAnswer, Load } from "../../contract/agent.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import type { Message } from "../../domain/message.ts";
import { AGENT_GROUP_MIGRATIONS } from "../../storage/agent-group/schema.ts";
import type { Doorbell, Host, Parcel, Receipt } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { instant } from "../instant.ts";
import { agentTopic } from "../topics.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { type Cause, type Ending, Ledger } from "./ledger.ts";
import { isWorthReporting } from "./load-reports.ts";
import { LockDesk } from "./lock-desk.ts";
import { MessageDesk } from "./message-desk.ts";
import { sessionExpired } from "./refusals.ts";
import { deadlineOf, type Session } from "./sessions.ts";
import { Watch } from "./watch.ts";

/** How long a call waits for the coordinator to have heard of what it did. */
const HEARD_LIMIT_MS = 2000;

export class AgentGroup {
  readonly locks: LockDesk;
  readonly messages: MessageDesk;
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #ledger: Ledger;
  readonly #watch: Watch;
  readonly #inbox: Inbox;

  constructor(host: Host, group: string) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: AGENT_GROUP_MIGRATIONS,
      load: (nowMs) => {
        this.#ledger.load(nowMs);
        this.#watch.load(nowMs);
      },
      nextWorkMs: () => this.#watch.nextWorkMs(),
    });
    this.#ledger = new Ledger(host, this.#unit, group);
    this.#watch = new Watch(this.#ledger);
    this.locks = new LockDesk(this.#ledger);
    this.messages = new MessageDesk(this.#ledger);
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  // From the coordinator

  receive(parcel: Parcel): Receipt {
    return this.#inbox.receive(parcel);
  }

  /** Hints that an agent's task list changed; wakes its waiting poll. */
  ringDoorbell({ agentId, assignedTasks }: Doorbell): void {
    const session = this.#unit.read(() => this.#ledger.sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = true;
    this.#host.bells.ring(agentTopic(agentId));
  }

  // Signs of life

  heartbeat(agentId: string, incarnation: number, { load }: Heartbeat): Outcome<HeartbeatAnswer> {
    const session = this.#ledger.sign(agentId, incarnation);
    if (session === null) return sessionExpired();
    if (load !== undefined) this.#noteLoad(session, load);
    const answer: HeartbeatAnswer = {
      status: "active",
      deadline_at: instant(deadlineOf(session)),
      assigned_tasks: session.assignedTasks,
      unread_messages: this.#ledger.messages.unreadCountOf(session),
      tasks_changed: session.tasksChanged,
    };
    return ok(answer);
  }

  /** Any authenticated call by an incarnation shows that it lives. */
  signOfLife(agentId: string, incarnation: number): Outcome<{ intervalMs: number }> {
    const session = this.#ledger.sign(agentId, incarnation);
    return session === null ? sessionExpired() : ok({ intervalMs: session.intervalMs });
  }

  /** The agent read its task list: the doorbell is answered. */
  taskListRead(agentId: string, assignedTasks: number): void {
    const session = this.#unit.read(() => this.#ledger.sessions.find(agentId));
    if (session === undefined) return;
    session.assignedTasks = assignedTasks;
    session.tasksChanged = false;
  }

  liveness(agentIds: readonly string[]): AgentLiveness[] {
    return this.#unit.read(() =>
      agentIds.flatMap((agentId) => {
        const session = this.#ledger.sessions.find(agentId);
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
    this.#unit.commit((nowMs) => this.#watch.look(scheduledMs, nowMs));
  }

  #apply(message: Message, nowMs: number): string | null {
    switch (message.type) {
      case "admit": {
        const known = this.#ledger.sessions.find(message.agentId);
        if (known !== undefined && known.incarnation >= message.incarnation) return null;
        this.#ledger.locks.freeAllOf(message.agentId, this.#ledger.settings.lockDelayMs, nowMs);
        // Who was live all along keeps its unread broadcasts.
        const messagesFrom = known?.messagesFrom ?? this.#ledger.messages.latestBroadcast;
        this.#ledger.sessions.add(message, messagesFrom, nowMs);
        return null;
      }
      case "forget":
        this.#ledger.messages.empty(message.agentId);
        return null;
      case "configure_group":
        this.#ledger.configure(message.settings);
        return null;
      case "broadcast":
        this.messages.broadcast(message);
        return null;
      default:
        return `a group knows no message "${message.type}"`;
    }
  }

  #noteLoad(session: Session, load: Load): void {
    session.load = load;
    const nowMs = this.#unit.nowMs();
    if (!isWorthReporting(session.reportedLoad, load, nowMs)) return;
    this.#unit.commit(() => {
      session.reportedLoad = { load, atMs: nowMs };
      this.#ledger.outbox.post("coordinator", {
        type: "load_reported",
        agentId: session.agentId,
        incarnation: session.incarnation,
        load,
      });
    });
  }

  async #endOnRequest(
    agentId: string,
    incarnation: number | null,
    cause: Cause,
  ): Promise<Outcome<Ending & { isHeard: boolean }>> {
    const ended = this.#unit.commit((nowMs): Outcome<Ending> => {
      const session = this.#ledger.sessions.find(agentId);
      if (session === undefined) return sessionExpired();
      if (incarnation !== null && session.incarnation !== incarnation) return sessionExpired();
      return ok(this.#ledger.end(session, cause, nowMs));
    });
    if (!ended.ok) return ended;
    const isHeard = await this.#ledger.outbox.delivered("coordinator", ended.value.number, HEARD_LIMIT_MS);
    return ok({ ...ended.value, isHeard });
  }
}
