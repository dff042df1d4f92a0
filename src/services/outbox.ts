/**
 * The sending half of messages between objects. A message is a row written with the
 * change that caused it; after the commit it is delivered, in order, one parcel at a
 * time a receiver, and repeated with back-off until the receiver has it. What a receiver
 * refuses for good is parked and reported, and the rest flows on.
 */
import { backoffMs } from "../domain/backoff.ts";
import type { Address, MessageBatch, Receipt } from "../protocol/message-batch.ts";
import type { OutboxMessage } from "../protocol/messages.ts";
import type { MetaStore } from "../storage/meta.ts";
import { OutboxStore, type StoredMessage } from "../storage/outbox.ts";
import type { Host } from "./host.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** Messages in one parcel: keeps a delivery's transaction short. */
const PARCEL_LIMIT = 100;

/** What a parcel may hold: a call between objects carries 32 MB at most. */
const PARCEL_CHARACTERS = 4_000_000;

const RETRY = { firstMs: 100, factor: 2, longestMs: 30_000 };

type ReceiverState = { inFlight: boolean; tries: number; retryAtMs: number };
type Waiter = { receiver: Address; number: number; resolve: (delivered: boolean) => void };
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
  /** A lane for each receiver with undelivered messages; rebuilt from storage at a start. */
  readonly #lanes = new Map<Address, ReceiverState>();
  readonly #awaiting = new Set<Waiter>();

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

  /** When something is to be sent again, or null. */
  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const lane of this.#lanes.values()) {
      if (!lane.inFlight && (earliestMs === null || lane.retryAtMs < earliestMs)) earliestMs = lane.retryAtMs;
    }
    return earliestMs;
  }

  /** Sends to every receiver whose turn it is. To be called in a transaction: sending starts after it. */
  sendDue(nowMs: number): void {
    for (const [receiver, lane] of this.#lanes) {
      if (!lane.inFlight && lane.retryAtMs <= nowMs) this.#start(receiver, lane);
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
        this.#awaiting.delete(waiter);
        resolve(delivered);
      };
      this.#awaiting.add(waiter);
    });
  }

  #open(receiver: Address): void {
    let lane = this.#lanes.get(receiver);
    if (lane === undefined) {
      lane = { inFlight: false, tries: 0, retryAtMs: 0 };
      this.#lanes.set(receiver, lane);
    }
    // A lane that waits for its retry keeps waiting: a burst must not become a hail of tries.
    if (!lane.inFlight && lane.tries === 0) this.#start(receiver, lane);
  }

  #start(receiver: Address, lane: ReceiverState): void {
    lane.inFlight = true;
    this.#unit.afterCommit(() => {
      this.#send(receiver, lane).catch((error: unknown) => {
        this.#host.log.line("error", "outbox_failed", { receiver, error: String(error) });
      });
    });
  }

  async #send(receiver: Address, lane: ReceiverState): Promise<void> {
    const messages = withinSize(this.#store.head(receiver, PARCEL_LIMIT));
    const parcel: MessageBatch = {
      stream: this.#streamId(),
      messages: messages.map(({ number, message }) => ({
        number,
        message: JSON.parse(message) as OutboxMessage,
      })),
    };
    let receipt: Receipt | null = null;
    try {
      if (messages.length > 0) receipt = await this.#host.peers.deliver(receiver, parcel);
    } catch (error) {
      this.#host.log.line("warn", "delivery_failed", {
        receiver,
        tries: lane.tries + 1,
        error: String(error),
      });
    }
    this.#unit.commit((nowMs) => this.#settle(receiver, lane, messages.length, receipt, nowMs));
  }

  #settle(
    receiver: Address,
    lane: ReceiverState,
    sent: number,
    receipt: Receipt | null,
    nowMs: number,
  ): void {
    // After a reload this lane was replaced: what was delivered counts, its state no more.
    const isCurrent = this.#lanes.get(receiver) === lane;
    lane.inFlight = false;
    if (sent > 0 && receipt === null) {
      lane.tries += 1;
      lane.retryAtMs = nowMs + backoffMs(lane.tries, RETRY);
      return;
    }
    lane.tries = 0;
    lane.retryAtMs = 0;
    if (receipt !== null) {
      for (const { number, reason } of receipt.refused) {
        const messageType = this.#store.moveToDeadLetters(receiver, number, reason);
        this.#onDeadLetter({ receiver, messageType, reason }, nowMs);
      }
      this.#store.removeThrough(receiver, receipt.through);
      this.#unit.afterCommit(() => this.#resolveAwaiting(receiver, receipt.through));
    }
    if (!isCurrent) return;
    if (this.#store.head(receiver, 1).length > 0) this.#start(receiver, lane);
    else this.#lanes.delete(receiver);
  }

  #resolveAwaiting(receiver: Address, through: number): void {
    for (const waiter of [...this.#awaiting]) {
      if (waiter.receiver === receiver && waiter.number <= through) waiter.resolve(true);
    }
  }

  /** Random and kept: a receiver counts what it applied by stream, and a restored sender starts a new one. */
  #streamId(): string {
    const known = this.#meta.read("stream_id");
    if (known !== null) return known;
    throw new Error("the stream id is written when the object first loads");
  }
}

/** The first of the messages, as many as a parcel may hold; always one. */
function withinSize(messages: readonly StoredMessage[]): StoredMessage[] {
  let characters = 0;
  const count = messages.findIndex(({ message }, index) => {
    characters += message.length;
    return index > 0 && characters > PARCEL_CHARACTERS;
  });
  return count < 0 ? [...messages] : messages.slice(0, count);
}
