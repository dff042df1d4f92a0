/**
 * The sending half of messages between objects. A message is a row, written with the change that caused it. After the commit
 * it is delivered, in order, one batch at a time per receiver, and repeated with back-off until the receiver has it. A
 * message that its receiver refuses for ever becomes a dead letter, and the messages behind it go on.
 *
 *   idle --send--> in flight --receipt--> idle, or in flight with the next batch
 *                     ^  '----no receipt--> waits for its retry
 *                     '--------sendDue---------'
 */
import { backoffMs } from "../domain/backoff.ts";
import type { Address, MessageBatch, Receipt } from "../protocol/message-batch.ts";
import type { OutboxMessage } from "../protocol/messages.ts";
import type { MetaStore } from "../storage/meta.ts";
import { OutboxStore, type StoredMessage } from "../storage/outbox.ts";
import type { Host } from "./host.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** Messages in one batch: keeps the receiver's transactions short. */
const BATCH_MESSAGES = 100;

/** The characters of one batch: a call between objects carries at most 32 MB. */
const BATCH_CHARACTERS = 4_000_000;

const RETRY = { firstMs: 100, factor: 2, longestMs: 30_000 };

type Lane = { isInFlight: boolean; failures: number; retryAtMs: number };
/** A delivery that has ended; the receipt is null if there was none. */
type Delivery = { lane: Lane; sent: number; receipt: Receipt | null };
type DeliveryWaiter = { receiver: Address; number: number; resolve: (delivered: boolean) => void };
/** A message that its receiver will never accept. */
export type DeadLetter = { receiver: Address; messageType: string; reason: string };

/** The object that sends. */
export type OutboxOwner = { host: Host; unit: UnitOfWork; meta: MetaStore };

export class Outbox {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #store: OutboxStore;
  readonly #meta: MetaStore;
  readonly #onDeadLetter: (deadLetter: DeadLetter, nowMs: number) => void;
  /** The state of delivery to each receiver that has undelivered messages; built from storage at the start. */
  readonly #lanes = new Map<Address, Lane>();
  readonly #waiters = new Set<DeliveryWaiter>();

  /** @param onDeadLetter called in the transaction that sets the message aside */
  constructor(owner: OutboxOwner, onDeadLetter: (deadLetter: DeadLetter, nowMs: number) => void) {
    this.#host = owner.host;
    this.#unit = owner.unit;
    this.#meta = owner.meta;
    this.#store = new OutboxStore(owner.host.sql);
    this.#onDeadLetter = onDeadLetter;
  }

  load(): void {
    this.#store.reload();
    this.#lanes.clear();
    for (const receiver of this.#store.receivers()) this.#open(receiver as Address);
  }

  /** Adds a message to the present transaction. */
  send(receiver: Address, message: OutboxMessage): number {
    const number = this.#store.append(receiver, JSON.stringify(message));
    this.#open(receiver);
    return number;
  }

  /** When the next retry is due, or null. */
  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const lane of this.#lanes.values()) {
      if (!lane.isInFlight && (earliestMs === null || lane.retryAtMs < earliestMs))
        earliestMs = lane.retryAtMs;
    }
    return earliestMs;
  }

  /** Sends to each receiver whose retry is due. In the present transaction; the delivery starts after the commit. */
  sendDue(nowMs: number): void {
    for (const [receiver, lane] of this.#lanes) {
      if (!lane.isInFlight && lane.retryAtMs <= nowMs) this.#start(receiver, lane);
    }
  }

  /** Resolves with true once the receiver has the message, with false after `limitMs`. */
  delivered(receiver: Address, number: number, limitMs: number): Promise<boolean> {
    const head = this.#store.head(receiver, 1)[0];
    if (head === undefined || head.number > number) return Promise.resolve(true);
    return new Promise<boolean>((resolve) => {
      const waiter = { receiver, number, resolve: (_: boolean) => {} };
      const cancel = this.#host.after(limitMs, () => waiter.resolve(false));
      waiter.resolve = (delivered) => {
        cancel();
        this.#waiters.delete(waiter);
        resolve(delivered);
      };
      this.#waiters.add(waiter);
    });
  }

  #open(receiver: Address): void {
    let lane = this.#lanes.get(receiver);
    if (lane === undefined) {
      lane = { isInFlight: false, failures: 0, retryAtMs: 0 };
      this.#lanes.set(receiver, lane);
    }
    // While the receiver fails, further messages wait for the retry too.
    if (!lane.isInFlight && lane.failures === 0) this.#start(receiver, lane);
  }

  #start(receiver: Address, lane: Lane): void {
    lane.isInFlight = true;
    this.#unit.afterCommit(() => {
      this.#send(receiver, lane).catch((error: unknown) => {
        this.#host.log.line("error", "outbox_failed", { receiver, error: String(error) });
      });
    });
  }

  async #send(receiver: Address, lane: Lane): Promise<void> {
    const messages = withinSize(this.#store.head(receiver, BATCH_MESSAGES));
    const batch: MessageBatch = {
      stream: this.#streamId(),
      messages: messages.map(({ number, message }) => ({
        number,
        message: JSON.parse(message) as OutboxMessage,
      })),
    };
    let receipt: Receipt | null = null;
    try {
      if (messages.length > 0) receipt = await this.#host.peers.deliver(receiver, batch);
    } catch (error) {
      this.#host.log.line("warn", "delivery_failed", {
        receiver,
        failures: lane.failures + 1,
        error: String(error),
      });
    }
    this.#unit.commit((nowMs) => this.#settle(receiver, { lane, sent: messages.length, receipt }, nowMs));
  }

  #settle(receiver: Address, { lane, sent, receipt }: Delivery, nowMs: number): void {
    // After a reload there is another lane: the delivered messages count, the state of this one does not.
    const isCurrent = this.#lanes.get(receiver) === lane;
    lane.isInFlight = false;
    if (sent > 0 && receipt === null) {
      lane.failures += 1;
      lane.retryAtMs = nowMs + backoffMs(lane.failures, RETRY);
      return;
    }
    lane.failures = 0;
    lane.retryAtMs = 0;
    if (receipt !== null) {
      for (const { number, reason } of receipt.refused) {
        const messageType = this.#store.moveToDeadLetters(receiver, number, reason);
        this.#onDeadLetter({ receiver, messageType, reason }, nowMs);
      }
      this.#store.removeThrough(receiver, receipt.through);
      this.#unit.afterCommit(() => this.#resolveDelivered(receiver, receipt.through));
    }
    if (!isCurrent) return;
    if (this.#store.head(receiver, 1).length > 0) this.#start(receiver, lane);
    else this.#lanes.delete(receiver);
  }

  #resolveDelivered(receiver: Address, through: number): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.receiver === receiver && waiter.number <= through) waiter.resolve(true);
    }
  }

  /** Random and stored: a receiver counts what it applied by stream, and a restored sender starts a new stream. */
  #streamId(): string {
    const known = this.#meta.read("stream_id");
    if (known !== null) return known;
    throw new Error("no stream id: the object must write one when it loads for the first time");
  }
}

/** The first of the messages, as many as a batch may hold; always one. */
function withinSize(messages: readonly StoredMessage[]): StoredMessage[] {
  let characters = 0;
  const count = messages.findIndex(({ message }, index) => {
    characters += message.length;
    return index > 0 && characters > BATCH_CHARACTERS;
  });
  return count < 0 ? [...messages] : messages.slice(0, count);
}
