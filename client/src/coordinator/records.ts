/** What happened and who was told: failures, incidents, the delivery log. And locks, as operators see them. */
import type { CallOptions, Http } from "../http.ts";
import type {
  Failure,
  FailureFilter,
  Incident,
  IncidentFilter,
  Lock,
  Notification,
  NotificationFilter,
  NotificationTestResult,
} from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

function listOf<Item>(http: Http, path: string, filter: PageOptions, options?: CallOptions): Listing<Item> {
  const { cursor, ...query } = filter;
  return listing((from) => http.call("GET", path, { ...options, query: { ...query, cursor: from } }), cursor);
}

export class Failures {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Newest first.
   * @example
   * for await (const failure of coordinator.failures.list({ min_severity: "error" })) console.log(failure.message);
   */
  list(filter: FailureFilter & PageOptions = {}, options?: CallOptions): Listing<Failure> {
    return listOf(this.#http, "/failures", filter, options);
  }

  /**
   * One failure.
   * @throws {NotFoundError}
   * @example
   * const [latest] = await coordinator.getFailureHistory({ limit: 1 });
   * if (latest !== undefined) console.log((await coordinator.failures.get(latest.id)).tasks_reassigned);
   */
  async get(id: string, options?: CallOptions): Promise<Failure> {
    const path = `/failures/${encodeURIComponent(id)}`;
    return (await this.#http.call<{ failure: Failure }>("GET", path, options)).failure;
  }
}

export class Incidents {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * What people are told of: failures that came together and what follows from them, newest first.
   * @example
   * for await (const incident of coordinator.incidents.list({ status: "firing" })) console.log(incident.summary);
   */
  list(filter: IncidentFilter & PageOptions = {}, options?: CallOptions): Listing<Incident> {
    return listOf(this.#http, "/incidents", filter, options);
  }
}

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
    return listOf(this.#http, "/notifications", filter, options);
  }

  /**
   * Sends one once more, under its id; answers when that try is over.
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
   * Sends a test through every channel.
   * @returns what became of it on each
   * @example
   * for (const { channel, delivered } of await coordinator.notifications.test()) console.log(channel, delivered);
   */
  async test(options?: CallOptions): Promise<NotificationTestResult[]> {
    const path = "/notifications/test";
    return (await this.#http.call<{ results: NotificationTestResult[] }>("POST", path, options)).results;
  }
}

export class Locks {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Who holds what in a group (default `default`), until when, who waits.
   * @example
   * for await (const lock of coordinator.locks.list()) console.log(lock.resource, lock.holder);
   */
  list(group = "default", filter: PageOptions = {}, options?: CallOptions): Listing<Lock> {
    return listOf(this.#http, pathOf(group), filter, options);
  }

  /**
   * One lock.
   * @throws {NotFoundError} nobody holds it
   * @example
   * const { holder, expires_at } = await coordinator.locks.get("db/orders");
   * console.log(holder, expires_at);
   */
  get(resource: string, group = "default", options?: CallOptions): Promise<Lock> {
    return this.#lock("GET", resource, group, options);
  }

  /**
   * Ends a lock, whoever holds it.
   * @throws {NotFoundError} nobody does
   * @example
   * await coordinator.locks.break("db/orders");
   */
  break(resource: string, group = "default", options?: CallOptions): Promise<Lock> {
    return this.#lock("DELETE", resource, group, options);
  }

  async #lock(method: string, resource: string, group: string, options?: CallOptions): Promise<Lock> {
    const path = `${pathOf(group)}/${encodeURIComponent(resource)}`;
    return (await this.#http.call<{ lock: Lock }>(method, path, options)).lock;
  }
}

const pathOf = (group: string) => `/groups/${encodeURIComponent(group)}/locks`;
