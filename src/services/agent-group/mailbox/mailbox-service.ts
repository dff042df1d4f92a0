/**
 * What agents and operators do with message boxes. Sending needs no live reader: the message
 * waits in the box until its agent acknowledges it, or until its retention is over.
 */
import type { Page } from "../../../contract/common.ts";
import type { AgentMessage, MessageSending } from "../../../contract/message.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import type { Broadcast } from "../../../protocol/messages.ts";
import { messageTopic } from "../../../protocol/wake-topics.ts";
import type { GroupContext } from "../group-context.ts";
import { type SessionLifecycle, sessionExpired } from "../liveness/session-lifecycle.ts";
import type { AgentPushes } from "../sockets/agent-pushes.ts";
import { type MailboxOwner, messageView } from "./mailboxes.ts";

/** Unread messages one agent may have, broadcasts aside: whoever has more does not read them. */
const UNREAD_PER_AGENT = 1000;

/** The same for a whole group, whose object stores them. */
const UNREAD_PER_GROUP = 20_000;

/** An id that a message can have. */
const MESSAGE_ID = /^[1-9]\d{0,14}$/;

export type OutgoingMessage = MessageSending & { from: string };

export class MailboxService {
  readonly #context: GroupContext;
  readonly #lifecycle: SessionLifecycle;
  readonly #pushes: AgentPushes;

  constructor(context: GroupContext, lifecycle: SessionLifecycle, pushes: AgentPushes) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#pushes = pushes;
  }

  /** @param agentId one that the coordinator knows, live or not */
  send(agentId: string, { from, message_type, content }: OutgoingMessage): Outcome<AgentMessage> {
    return this.#context.unit.commit((nowMs): Outcome<AgentMessage> => {
      const { mailboxes: messages } = this.#context;
      if (messages.countOf(agentId) >= UNREAD_PER_AGENT) {
        return refuse(
          "limit_reached",
          `an agent may have at most ${UNREAD_PER_AGENT} unread messages; it has to acknowledge some first`,
        );
      }
      if (messages.total >= UNREAD_PER_GROUP) {
        return refuse(
          "limit_reached",
          `a group keeps at most ${UNREAD_PER_GROUP} unread messages; its agents have to acknowledge some first`,
        );
      }
      const added = messages.add(agentId, {
        from,
        messageType: message_type,
        content: JSON.stringify(content),
        sentAtMs: nowMs,
      });
      this.#ring([agentId], added.number);
      return ok(messageView(added));
    });
  }

  /** Puts a message into the boxes of all live agents, in the present transaction. */
  broadcast({ from, messageType, content, atMs }: Broadcast): void {
    const readers = [...this.#context.sessions.all()].map(({ agentId }) => agentId);
    if (readers.length === 0) return;
    this.#context.mailboxes.broadcast({
      from,
      messageType,
      content: JSON.stringify(content),
      sentAtMs: atMs,
    });
    this.#ring(readers, this.#context.mailboxes.latestBroadcast);
  }

  /** Unread messages, oldest first. @param cursor the number of the last one seen */
  list(agentId: string, limit: number, cursor: string | null): Page<AgentMessage> {
    return this.#context.unit.read(() => {
      const { items, hasMore } = this.#context.mailboxes.page(
        this.#owner(agentId),
        Number(cursor ?? 0),
        limit,
      );
      const last = items.at(-1);
      return {
        items: items.map(messageView),
        next_cursor: hasMore && last !== undefined ? String(last.number) : null,
      };
    });
  }

  /**
   * Takes a message out of a box. One that is not in it is no error: it was acknowledged before.
   */
  acknowledge(agentId: string, messageId: string, principal: Principal): Outcome<null> {
    const caller = agentOf(principal);
    if (caller !== null && this.#lifecycle.recordSign(agentId, caller.incarnation) === null) {
      return sessionExpired();
    }
    if (!MESSAGE_ID.test(messageId)) return ok(null);
    return this.#context.unit.commit(() => {
      this.remove(agentId, messageId);
      return ok(null);
    });
  }

  /** Takes a message out of a box, in the present transaction. */
  remove(agentId: string, messageId: string): void {
    if (!MESSAGE_ID.test(messageId)) return;
    const readThrough = this.#context.mailboxes.acknowledge(this.#owner(agentId), Number(messageId));
    const session = this.#context.sessions.find(agentId);
    if (session !== undefined && session.messagesFrom !== readThrough) {
      this.#context.sessions.readThrough(session, readThrough);
    }
    this.#context.unit.afterCommit(() => this.#pushes.messageRemoved(agentId, messageId));
  }

  /** No broadcast is for an agent that is not live. */
  #owner(agentId: string): MailboxOwner {
    const session = this.#context.sessions.find(agentId);
    return session ?? { agentId, messagesFrom: Number.POSITIVE_INFINITY };
  }

  #ring(agentIds: readonly string[], number: number): void {
    this.#context.unit.afterCommit(() => {
      for (const agentId of agentIds) {
        this.#context.host.wakeups.wake(messageTopic(agentId));
        this.#pushes.messageAdded(agentId, number);
      }
    });
  }
}
