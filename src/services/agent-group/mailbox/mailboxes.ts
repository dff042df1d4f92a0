/**
 * The mailboxes of a group's agents. Memory mirrors the number of unread messages, which heartbeats answer; the content of
 * messages is in storage alone.
 *
 * Messages to one agent belong to its id and outlive its incarnations. A broadcast is stored once: it is in the mailbox of
 * each agent whose mark, `messagesFrom`, is lower than its number, unless that agent acknowledged it. Broadcasts that are
 * acknowledged in order move the mark; one that is acknowledged out of order is a row until the mark has passed it.
 */
import { instant } from "../../../contract/instant.ts";
import type { AgentMessage } from "../../../contract/message.ts";
import { type MessageDraft, type MessageRow, MessageStore } from "../../../storage/agent-group/messages.ts";
import type { Slice } from "../../../storage/page.ts";
import type { Sql } from "../../../storage/sql.ts";

/** Broadcasts kept; the oldest go first. Enough for an agent that reads now and then. */
const BROADCASTS_KEPT = 200;

/** A week: an agent that has not read a message by then will not. */
const RETENTION_MS = 604_800_000;

/** The owner of a mailbox, and the number of the latest broadcast that is not in it. */
export type MailboxOwner = { agentId: string; messagesFrom: number };

export class Mailboxes {
  readonly #store: MessageStore;
  /** Unread messages to one agent; agents without any are left out. */
  #counts = new Map<string, number>();
  #total = 0;
  /** Ascending. */
  #broadcasts: number[] = [];
  /** Broadcasts that an agent acknowledged beyond its mark. */
  #acknowledged = new Map<string, Set<number>>();
  #earliestEndMs: number | null = null;

  constructor(sql: Sql) {
    this.#store = new MessageStore(sql);
  }

  load(): void {
    this.#counts = new Map();
    this.#total = 0;
    for (const { agentId, count } of this.#store.counts()) this.#count(agentId, count);
    this.#broadcasts = this.#store.broadcasts();
    this.#acknowledged = new Map();
    for (const { agentId, number } of this.#store.acknowledged()) this.#addAcknowledged(agentId, number);
    this.#recompute();
  }

  /** Unread messages of the whole group, broadcasts aside. */
  get total(): number {
    return this.#total;
  }

  /** Unread messages of this agent, broadcasts aside. */
  countOf(agentId: string): number {
    return this.#counts.get(agentId) ?? 0;
  }

  unreadCountOf(owner: MailboxOwner): number {
    return this.countOf(owner.agentId) + this.#unreadBroadcastsOf(owner).length;
  }

  /** The earliest instant at which a message could be dropped; may be too early, never too late. */
  get earliestEndMs(): number | null {
    return this.#earliestEndMs;
  }

  /** The number of the latest broadcast: an agent that registers now need not read up to there. */
  get latestBroadcast(): number {
    return this.#broadcasts.at(-1) ?? 0;
  }

  /** Unread messages with a greater number, oldest first. */
  page(owner: MailboxOwner, afterNumber: number, limit: number): Slice<MessageRow> {
    return this.#store.page(owner.agentId, this.#unreadBroadcastsOf(owner), {
      after: afterNumber,
      limit,
    });
  }

  add(agentId: string, draft: MessageDraft): MessageRow {
    const number = this.#store.append(agentId, draft);
    this.#count(agentId, 1);
    this.#includeEnd(draft.sentAtMs);
    return { number, ...draft };
  }

  broadcast(draft: MessageDraft): void {
    this.#broadcasts.push(this.#store.append(null, draft));
    this.#includeEnd(draft.sentAtMs);
    for (const number of this.#broadcasts.slice(0, -BROADCASTS_KEPT)) this.#dropBroadcast(number);
  }

  /** Removes a message from a mailbox, if it is there. @returns the owner's mark from now on */
  acknowledge({ agentId, messagesFrom }: MailboxOwner, number: number): number {
    if (this.#store.remove(agentId, number)) {
      this.#count(agentId, -1);
      return messagesFrom;
    }
    const unread = this.#unreadBroadcastsOf({ agentId, messagesFrom });
    if (!unread.includes(number)) return messagesFrom;
    if (unread[0] !== number) {
      this.#store.acknowledge(agentId, number);
      this.#addAcknowledged(agentId, number);
      return messagesFrom;
    }
    const nextUnread = unread[1] ?? Number.POSITIVE_INFINITY;
    const passed = [...(this.#acknowledged.get(agentId) ?? [])].filter((other) => other < nextUnread);
    this.#forgetAcknowledgements(agentId, passed);
    return Math.max(number, ...passed);
  }

  /** The agent's incarnation has ended: the next one begins with a mark of its own. */
  leave(agentId: string): void {
    this.#forgetAcknowledgements(agentId, [...(this.#acknowledged.get(agentId) ?? [])]);
  }

  /** Drops all messages of this agent, broadcasts aside. */
  empty(agentId: string): void {
    if (this.countOf(agentId) === 0) return;
    this.#store.removeAllOf(agentId);
    this.#count(agentId, -this.countOf(agentId));
  }

  /** Drops a slice of the messages whose retention has ended. */
  sweep(nowMs: number, limit: number): void {
    if (this.#earliestEndMs === null || this.#earliestEndMs > nowMs) return;
    for (const { number, agentId, sentAtMs } of this.#store.oldest(limit)) {
      if (sentAtMs + RETENTION_MS > nowMs) break;
      if (agentId === null) this.#dropBroadcast(number);
      else if (this.#store.remove(agentId, number)) this.#count(agentId, -1);
    }
    this.#recompute();
  }

  #unreadBroadcastsOf({ agentId, messagesFrom }: MailboxOwner): number[] {
    // Much the most common case, and each heartbeat asks.
    if (this.latestBroadcast <= messagesFrom) return [];
    const acknowledged = this.#acknowledged.get(agentId);
    return this.#broadcasts.filter((number) => number > messagesFrom && acknowledged?.has(number) !== true);
  }

  #count(agentId: string, change: number): void {
    const count = this.countOf(agentId) + change;
    if (count > 0) this.#counts.set(agentId, count);
    else this.#counts.delete(agentId);
    this.#total += change;
  }

  #addAcknowledged(agentId: string, number: number): void {
    const numbers = this.#acknowledged.get(agentId) ?? new Set();
    numbers.add(number);
    this.#acknowledged.set(agentId, numbers);
  }

  #forgetAcknowledgements(agentId: string, numbers: readonly number[]): void {
    if (numbers.length === 0) return;
    this.#store.forgetAcknowledgements(agentId, numbers);
    for (const number of numbers) this.#forgetAcknowledgement(agentId, number);
  }

  #forgetAcknowledgement(agentId: string, number: number): void {
    const known = this.#acknowledged.get(agentId);
    known?.delete(number);
    if (known?.size === 0) this.#acknowledged.delete(agentId);
  }

  #dropBroadcast(number: number): void {
    this.#store.removeBroadcast(number);
    this.#broadcasts = this.#broadcasts.filter((other) => other !== number);
    for (const agentId of [...this.#acknowledged.keys()]) this.#forgetAcknowledgement(agentId, number);
  }

  #includeEnd(sentAtMs: number): void {
    const endMs = sentAtMs + RETENTION_MS;
    this.#earliestEndMs = Math.min(this.#earliestEndMs ?? endMs, endMs);
  }

  #recompute(): void {
    this.#earliestEndMs = null;
    const [oldest] = this.#store.oldest(1);
    if (oldest !== undefined) this.#includeEnd(oldest.sentAtMs);
  }
}

/** A message as agents see it. */
export function messageView({ number, from, messageType, content, sentAtMs }: MessageRow): AgentMessage {
  return {
    id: String(number),
    from,
    message_type: messageType,
    content: JSON.parse(content) as AgentMessage["content"],
    sent_at: instant(sentAtMs),
  };
}
