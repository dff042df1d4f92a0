/** Recorded failures, and the incidents that group them. */
import type { CallOptions, Http } from "../http.ts";
import type { Failure, FailureFilter, Incident, IncidentFilter } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

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
    return listing(this.#http, "/failures", { filter, options });
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
   * Related failures with their consequences, newest first.
   * @example
   * for await (const incident of coordinator.incidents.list({ status: "firing" })) console.log(incident.summary);
   */
  list(filter: IncidentFilter & PageOptions = {}, options?: CallOptions): Listing<Incident> {
    return listing(this.#http, "/incidents", { filter, options });
  }
}
