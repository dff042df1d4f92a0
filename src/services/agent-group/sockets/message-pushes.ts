/** Pushes the messages of an agent's mailbox on one connection: in order, no more at a time than the agent acknowledges. */
import { messageView } from "../mailbox/mailboxes.ts";
import type { PushContext, Recipient } from "./push-recipient.ts";
import { SendWindow } from "./send-window.ts";

/** Pushed in one event, so that requests pass in between. */
const MESSAGES_PER_EVENT = 50;

export class MessagePushes {
  readonly #context: PushContext;
  readonly #recipient: Recipient;
  readonly #window = new SendWindow();
  /** The number of the last message pushed; null if an earlier instance pushed all there were. */
  #through: number | null = null;
  #isDeferred = false;
  #isBackpressured = false;

  constructor(context: PushContext, recipient: Recipient) {
    this.#context = context;
    this.#recipient = recipient;
  }

  /** Whether messages wait until others are acknowledged. */
  get isBackpressured(): boolean {
    return this.#isBackpressured;
  }

  /** Pushes all unread messages. */
  pushAll(): void {
    this.#through = 0;
    this.#push();
  }

  /** A message was added to the mailbox. */
  messageAdded(number: number): void {
    this.#through ??= number - 1;
    if (!this.#isDeferred) this.#push();
  }

  /** A message was removed from the mailbox, by a frame or a call. */
  messageRemoved(id: string): void {
    const through = this.#window.remove(id);
    if (through !== null) this.#context.frames.markReadThrough(this.#recipient.connection, through);
    if (this.#isBackpressured && !this.#isDeferred && this.#window.isHalfFree) this.#push();
  }

  #push(): void {
    this.#isDeferred = false;
    this.#isBackpressured = false;
    const { mailboxes, sessions, unit, frames, host } = this.#context;
    const { agentId, connection } = this.#recipient;
    const page = unit.read(() => {
      const session = sessions.find(agentId);
      if (session?.connection !== connection) return null;
      return mailboxes.page(session, this.#through ?? 0, MESSAGES_PER_EVENT);
    });
    if (page === null) return;
    for (const item of page.items) {
      if (!this.#window.hasRoom) {
        this.#isBackpressured = true;
        return;
      }
      const message = messageView(item);
      this.#window.add(message.id, frames.push(connection, { type: "message", message }));
      this.#through = item.number;
    }
    if (!page.hasMore) return;
    this.#isDeferred = true;
    host.defer(() => {
      this.#push();
      this.#recipient.storeBackpressure();
    });
  }
}
