/** The messages of an agent's box on one connection: in order, no more at a time than it acknowledges. */
import type { GroupContext } from "../group-context.ts";
import { messageView } from "../mailbox/mailboxes.ts";
import type { Recipient } from "./agent-pushes.ts";
import { SendWindow } from "./send-window.ts";

/** Pushed in one event, so that requests pass in between. */
const MESSAGES_PER_EVENT = 50;

export class MessagePushes {
  readonly #context: GroupContext;
  readonly #recipient: Recipient;
  readonly #outstanding = new SendWindow();
  /** The number of the last one pushed; null if an earlier instance pushed all there were. */
  #through: number | null = null;
  #isUnderWay = false;
  #isHeldBack = false;

  constructor(context: GroupContext, recipient: Recipient) {
    this.#context = context;
    this.#recipient = recipient;
  }

  /** Whether some wait until others are acknowledged. */
  get isHeldBack(): boolean {
    return this.#isHeldBack;
  }

  /** All that are unread. */
  begin(): void {
    this.#through = 0;
    this.#push();
  }

  /** One came into the box. */
  came(number: number): void {
    this.#through ??= number - 1;
    if (!this.#isUnderWay) this.#push();
  }

  /** One is out of the box, however that was asked for. */
  acknowledged(id: string): void {
    const through = this.#outstanding.remove(id);
    if (through !== null) this.#context.frames.readThrough(this.#recipient.connection, through);
    if (this.#isHeldBack && !this.#isUnderWay && this.#outstanding.isRelieved) this.#push();
  }

  #push(): void {
    this.#isUnderWay = false;
    this.#isHeldBack = false;
    const { mailboxes: messages, sessions, unit, frames: connections, host } = this.#context;
    const { agentId, connection } = this.#recipient;
    const page = unit.read(() => {
      const session = sessions.find(agentId);
      if (session?.connection !== connection) return null;
      return messages.page(session, this.#through ?? 0, MESSAGES_PER_EVENT);
    });
    if (page === null) return;
    for (const item of page.items) {
      if (!this.#outstanding.hasRoom) {
        this.#isHeldBack = true;
        return;
      }
      const message = messageView(item);
      this.#outstanding.add(message.id, connections.push(connection, { type: "message", message }));
      this.#through = item.number;
    }
    if (!page.hasMore) return;
    this.#isUnderWay = true;
    host.defer(() => {
      this.#push();
      this.#recipient.settle();
    });
  }
}
