/** The messages that are being sent at the moment. Only in memory: after a crash they are due again. */
import type { ChannelName, Notification } from "../../contract/notification.ts";

type Flight = {
  readonly channel: ChannelName;
  readonly keys: readonly string[];
  /** A caller asked for this attempt; it was not due. */
  readonly isRequested: boolean;
  /** The transaction that started it is stored. */
  hasBegun: boolean;
};

export class InFlight {
  readonly #flights = new Map<string, Flight>();

  start({ id, channel, dedup_keys: keys }: Notification, isRequested: boolean): void {
    this.#flights.set(id, { channel, keys, isRequested, hasBegun: false });
  }

  begun(notificationId: string): void {
    const flight = this.#flights.get(notificationId);
    if (flight !== undefined) flight.hasBegun = true;
  }

  end(notificationId: string): void {
    this.#flights.delete(notificationId);
  }

  /** After a transaction that did not commit: the attempts that it started never began. */
  dropUnbegun(): void {
    for (const [id, { hasBegun }] of this.#flights) if (!hasBegun) this.#flights.delete(id);
  }

  readonly has = (notificationId: string): boolean => this.#flights.has(notificationId);

  get isEmpty(): boolean {
    return this.#flights.size === 0;
  }

  /** Whether an attempt that a caller asked for is under way. */
  get hasRequested(): boolean {
    return [...this.#flights.values()].some((flight) => flight.isRequested);
  }

  /** Attempts on a channel that were due. Requested ones do not count, so that they never hold up what is due. */
  dueCountOn(channel: ChannelName): number {
    return [...this.#flights.values()].filter((flight) => flight.channel === channel && !flight.isRequested)
      .length;
  }

  /** Whether this message, or another one about the same incident on the same channel, is being sent. */
  blocks({ id, channel, dedup_keys: keys }: Notification): boolean {
    if (this.#flights.has(id)) return true;
    return [...this.#flights.values()].some(
      (flight) => flight.channel === channel && flight.keys.some((key) => keys.includes(key)),
    );
  }
}
