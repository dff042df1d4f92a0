/** The configuration of a cluster: reading it, and changing it without undoing another's change. */
import type { CallOptions, Http } from "../http.ts";
import type { Config } from "../wire.ts";

/** Any part of it; `null` goes back to the value in the file. */
export type Change<Part> = {
  [Key in keyof Part]?:
    | (Part[Key] extends readonly unknown[]
        ? Part[Key]
        : Part[Key] extends object
          ? Change<Part[Key]>
          : Part[Key])
    | null
    | undefined;
};
export type ConfigChange = Change<Config>;

/** `pendingGroups`: those that do not have a change yet. */
export type ConfigState = { config: Config; etag: string; pendingGroups: string[] };

/** `ifMatch`: the `etag` that must still hold; otherwise nothing is changed. */
export type ConfigOptions = CallOptions & { ifMatch?: string | undefined };

export class Configuration {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * The configuration in force; secrets come as `[redacted]`.
   * @example
   * const { config } = await coordinator.config.get();
   * console.log(config.heartbeat_config.timeout_seconds);
   */
  get(options?: CallOptions): Promise<ConfigState> {
    return this.#exchange("GET", options);
  }

  /**
   * Replaces it; what is left out is as in the file.
   * @throws {ConfigChangedError}
   * @example
   * await coordinator.config.put({ failover_config: { max_reassignment_attempts: 5 } });
   */
  put(config: ConfigChange, options?: ConfigOptions): Promise<ConfigState> {
    return this.#exchange("PUT", options, config);
  }

  /**
   * Changes what is given, and nothing else.
   * @throws {ConfigChangedError}
   * @example
   * const { etag } = await coordinator.config.get();
   * await coordinator.config.patch({ heartbeat_config: { timeout_seconds: 20 } }, { ifMatch: etag });
   */
  patch(change: ConfigChange, options?: ConfigOptions): Promise<ConfigState> {
    return this.#exchange("PATCH", options, change);
  }

  async #exchange(
    method: string,
    { ifMatch, ...call }: ConfigOptions = {},
    body?: ConfigChange,
  ): Promise<ConfigState> {
    const { body: config, headers } = await this.#http.exchange<Config>(method, "/config", {
      ...call,
      ...(body === undefined ? {} : { body }),
      headers: ifMatch === undefined ? {} : { "If-Match": ifMatch },
      // A change that took effect no longer matches.
      isRepeatable: ifMatch === undefined,
    });
    const pending = headers.get("Config-Pending-Groups");
    return {
      config,
      etag: headers.get("ETag") ?? "",
      pendingGroups: pending === null ? [] : pending.split(", "),
    };
  }
}
