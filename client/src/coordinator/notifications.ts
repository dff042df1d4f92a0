/** The delivery log of the notification channels. */
import type { CallOptions, Http } from "../http.ts";
import type { Notification, NotificationFilter, NotificationTestResult } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

export class Notifications {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * The delivery log, newest first.
   * @example
   * for await (const sent of coordinator.notifications.list({ state: "dead" })) console.log(sent.last_error);
   */
  list(filter: NotificationFilter & PageOptions = {}, options?: CallOptions): Listing<Notification> {
    return listing(this.#http, "/notifications", { filter, options });
  }

  /**
   * Sends a notification again, under its id; resolves after that attempt.
   * @throws {NotFoundError}
   * @example
   * const { items } = await coordinator.notifications.list({ state: "dead" });
   * for (const { id } of items) await coordinator.notifications.redeliver(id);
   */
  async redeliver(id: string, options?: CallOptions): Promise<Notification> {
    const path = `/notifications/${encodeURIComponent(id)}/redeliver`;
    return (await this.#http.call<{ notification: Notification }>("POST", path, options)).notification;
  }

  /**
   * Sends a test notification through every channel.
   * @returns the result on each channel
   * @example
   * for (const { channel, delivered } of await coordinator.notifications.test()) console.log(channel, delivered);
   */
  async test(options?: CallOptions): Promise<NotificationTestResult[]> {
    const path = "/notifications/test";
    return (await this.#http.call<{ results: NotificationTestResult[] }>("POST", path, options)).results;
  }
}
