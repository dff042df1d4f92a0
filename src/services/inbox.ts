/**
 * The receiving half of messages between objects. Each message is applied once, in order, in a transaction of its own
 * that also records its number.
 */
import type { MessageBatch, Receipt } from "../protocol/message-batch.ts";
import type { OutboxMessage } from "../protocol/messages.ts";
import { InboxStore } from "../storage/inbox.ts";
import type { Host } from "./host.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** Applies one message. @returns a reason to refuse the message for ever, or null */
export type Apply = (message: OutboxMessage, nowMs: number) => string | null;

export class Inbox {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #store: InboxStore;
  readonly #apply: Apply;

  constructor(host: Host, unit: UnitOfWork, apply: Apply) {
    this.#host = host;
    this.#unit = unit;
    this.#store = new InboxStore(host.sql);
    this.#apply = apply;
  }

  /** Applies what is new in the batch. A message that cannot be applied is refused, so that it does not block the rest. */
  receive(batch: MessageBatch): Receipt {
    const refused: Receipt["refused"] = [];
    let through = this.#unit.read(() => this.#store.applied(batch.stream)) ?? 0;
    for (const { number, message } of batch.messages) {
      if (number <= through) continue;
      const reason = this.#applyOne(batch.stream, number, message);
      if (reason !== null) refused.push({ number, reason });
      through = number;
    }
    return { through, refused };
  }

  #applyOne(stream: string, number: number, message: OutboxMessage): string | null {
    const commit = (work: (nowMs: number) => string | null) =>
      this.#unit.commit((nowMs) => {
        const reason = work(nowMs);
        this.#store.record(stream, number);
        return reason;
      });
    try {
      return commit((nowMs) => this.#apply(message, nowMs));
    } catch (error) {
      this.#host.log.line("error", "message_failed", { type: message.type, error: String(error) });
      return commit(() => "the receiver failed to apply it; its log says why");
    }
  }
}
