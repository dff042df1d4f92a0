/**
 * What agents and operators do with mailboxes. The recipient need not be live: a message stays in the mailbox until its
 * agent acknowledges it, or until its retention ends.
 */
import type { Page } from "../../../contract/common.ts";
import type { AgentMessage, MessageSending } from "../../../contract/message.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import type { Broadcast } from "../../../protocol/messages.ts";
import { messageTopic } from "../../../protocol/wake-topics.ts";
import { numberCursor, pageOf } from "../../../storage/page.ts";
import type { GroupContext } from "../group-context.ts";
import { type SessionLifecycle, sessionExpired } from "../liveness/session-lifecycle.ts";
import type { AgentPushes } from "../sockets/agent-pushes.ts";
import { type MailboxOwner, messageView } from "./mailboxes.ts";

/** Unread messages one agent may have, broadcasts aside: an agent with more does not read them. */
const UNREAD_PER_AGENT = 1000;

/** The same for a whole group, whose object stores them. */
const UNREAD_PER_GROUP = 20_000;

/** An id that a message can have. */
const MESSAGE_ID = /^[1-9]\d{0,14}$/;

export type OutgoingMessage = MessageSending & { from: string };

type Collaborators = Pick<GroupContext, "host" | "unit" | "sessions" | "mailboxes">;

export class MailboxService {
  readonly #context: Collaborators;
  readonly #lifecycle: Pick<SessionLifecycle, "recordSign">;
  readonly #pushes: AgentPushes;

  constructor(context: Collaborators, lifecycle: Pick<SessionLifecycle, "recordSign">, pushes: AgentPushes) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#pushes = pushes;
  }

  /** @param agentId one that the coordinator knows, live or not */
  send(agentId: string, { from, message_type, content }: OutgoingMessage): Outcome<AgentMessage> {
    return this.#context.unit.commit((nowMs): Outcome<AgentMessage> => {
      const { mailboxes } = this.#context;
      if (mailboxes.countOf(agentId) >= UNREAD_PER_AGENT) {
        return refuse(
          "limit_reached",
          `an agent may have at most ${UNREAD_PER_AGENT} unread messages; the agent has to acknowledge some first`,
        );
      }
      if (mailboxes.total >= UNREAD_PER_GROUP) {
        return refuse(
          "limit_reached",
          `a group keeps at most ${UNREAD_PER_GROUP} unread messages; its agents have to acknowledge some first`,
        );
      }
      const added = mailboxes.add(agentId, {
        from,
        messageType: message_type,
        content: JSON.stringify(content),
        sentAtMs: nowMs,
      });
      this.#notify([agentId], added.number);
      return ok(messageView(added));
    });
  }

  /** Puts a message into the mailboxes of all live agents, in the present transaction. */
  broadcast({ from, messageType, content, atMs }: Broadcast): void {
    const readers = [...this.#context.sessions.all()].map(({ agentId }) => agentId);
    if (readers.length === 0) return;
    this.#context.mailboxes.broadcast({
      from,
      messageType,
      content: JSON.stringify(content),
      sentAtMs: atMs,
    });
    this.#notify(readers, this.#context.mailboxes.latestBroadcast);
  }

  /** Unread messages, oldest first. @param cursor the number of the last one seen */
  list(agentId: string, limit: number, cursor: string | null): Page<AgentMessage> {
    return this.#context.unit.read(() => {
      const found = this.#context.mailboxes.page(this.#owner(agentId), Number(cursor ?? 0), limit);
      return pageOf(found, messageView, numberCursor);
    });
  }

  /** Removes a message from a mailbox. A message that is not there is no error: it was acknowledged before. */
  acknowledge(agentId: string, messageId: string, principal: Principal): Outcome<null> {
    const caller = agentOf(principal);
    if (caller !== null && this.#lifecycle.recordSign(agentId, caller.incarnation) === null) {
      return sessionExpired(this.#context.sessions, agentId, caller.incarnation);
    }
    if (!MESSAGE_ID.test(messageId)) return ok(null);
    return this.#context.unit.commit(() => {
      this.remove(agentId, messageId);
      return ok(null);
    });
  }

  /** Removes a message from a mailbox, in the present transaction. */
  remove(agentId: string, messageId: string): void {
    if (!MESSAGE_ID.test(messageId)) return;
    const readThrough = this.#context.mailboxes.acknowledge(this.#owner(agentId), Number(messageId));
    const session = this.#context.sessions.find(agentId);
    if (session !== undefined && session.messagesFrom !== readThrough) {
      this.#context.sessions.readThrough(session, readThrough);
    }
    this.#context.unit.afterCommit(() => this.#pushes.messageRemoved(agentId, messageId));
  }

  /** An agent that is not live has no broadcasts in its mailbox. */
  #owner(agentId: string): MailboxOwner {
    const session = this.#context.sessions.find(agentId);
    return session ?? { agentId, messagesFrom: Number.POSITIVE_INFINITY };
  }

  #notify(agentIds: readonly string[], number: number): void {
    this.#context.unit.afterCommit(() => {
      for (const agentId of agentIds) {
        this.#context.host.wakeups.wake(messageTopic(agentId));
        this.#pushes.messageAdded(agentId, number);
      }
    });
  }
}
