/** The locks of a group, for operators. An agent that wants to hold a lock calls `Agent.withLock`. */
import type { CallOptions, Http } from "../http.ts";
import type { Lock } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

export class Locks {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * All locks of a group, each with its holder, expiry and waiters.
   * @example
   * for await (const lock of coordinator.locks.list()) console.log(lock.resource, lock.holder);
   */
  list(group = "default", filter: PageOptions = {}, options?: CallOptions): Listing<Lock> {
    return listing(this.#http, pathOf(group), { filter, options });
  }

  /**
   * One lock.
   * @throws {NotFoundError} no agent holds it
   * @example
   * const { holder, expires_at } = await coordinator.locks.get("db/orders");
   * console.log(holder, expires_at);
   */
  get(resource: string, group = "default", options?: CallOptions): Promise<Lock> {
    return this.#lock("GET", pathOf(group, resource), options);
  }

  /**
   * Ends a lock without the consent of its holder.
   * @throws {NotFoundError} no agent holds it
   * @example
   * await coordinator.locks.break("db/orders");
   */
  break(resource: string, group = "default", options?: CallOptions): Promise<Lock> {
    return this.#lock("DELETE", pathOf(group, resource), options);
  }

  async #lock(method: string, path: string, options?: CallOptions): Promise<Lock> {
    return (await this.#http.call<{ lock: Lock }>(method, path, options)).lock;
  }
}

function pathOf(group: string, resource?: string): string {
  const locks = `/groups/${encodeURIComponent(group)}/locks`;
  return resource === undefined ? locks : `${locks}/${encodeURIComponent(resource)}`;
}
