/** The configuration of a cluster: reads it, and changes it without overwriting the change of another client. */
import type { CallOptions, Http } from "../http.ts";
import type { AppliedDefaults, Config, ConfigRevision } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

/** Any part of the configuration; `null` restores the value of the configuration file. */
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

/** `pendingGroups`: groups that have not applied the last change yet. */
export type ConfigState = { config: Config; etag: string; pendingGroups: string[] };

/** The state after a change. `applied`: how many live agents the change reached, and how many keep their own values. */
export type ConfigChanged = ConfigState & { applied: AppliedDefaults };

/** `ifMatch`: the `etag` that the configuration must still have; otherwise nothing is changed. */
export type ConfigOptions = CallOptions & { ifMatch?: string | undefined };

export class Configuration {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * The configuration in force. Secrets are replaced by `[redacted]`.
   * @example
   * const { config } = await coordinator.config.get();
   * console.log(config.heartbeat_config.timeout_seconds);
   */
  get(options?: CallOptions): Promise<ConfigState> {
    return this.#exchange<ConfigState>("GET", options);
  }

  /**
   * What changed in the configuration, newest first.
   * @example
   * for await (const { at, changes } of coordinator.config.changes()) console.log(at, changes);
   */
  changes(filter: PageOptions = {}, options?: CallOptions): Listing<ConfigRevision> {
    return listing(this.#http, "/config/changes", { filter, options });
  }

  /**
   * Replaces the configuration. Keys left out have the value of the configuration file.
   * @throws {ConfigChangedError} another `etag`
   * @example
   * await coordinator.config.put({ failover_config: { max_reassignment_attempts: 5 } });
   */
  put(config: ConfigChange, options?: ConfigOptions): Promise<ConfigChanged> {
    return this.#exchange("PUT", options, config);
  }

  /**
   * Changes the given keys and no others.
   * @throws {ConfigChangedError} another `etag`
   * @example
   * const { etag } = await coordinator.config.get();
   * await coordinator.config.patch({ heartbeat_config: { timeout_seconds: 20 } }, { ifMatch: etag });
   */
  patch(change: ConfigChange, options?: ConfigOptions): Promise<ConfigChanged> {
    return this.#exchange("PATCH", options, change);
  }

  async #exchange<State extends ConfigState>(
    method: string,
    { ifMatch, ...call }: ConfigOptions = {},
    body?: ConfigChange,
  ): Promise<State> {
    const answered = await this.#http.exchange<Config & Partial<Pick<ConfigChanged, "applied">>>(
      method,
      "/config",
      {
        ...call,
        body,
        headers: ifMatch === undefined ? {} : { "If-Match": ifMatch },
        // Repeated after it took effect, a conditional change would no longer match and report a conflict.
        isRepeatable: ifMatch === undefined,
      },
    );
    // Only the answer to a change has `applied`, which is no part of the configuration.
    const { applied, ...config } = answered.body;
    const pending = answered.headers.get("Config-Pending-Groups");
    return {
      config,
      etag: answered.headers.get("ETag") ?? "",
      pendingGroups: pending === null ? [] : pending.split(", "),
      ...(applied === undefined ? {} : { applied }),
    } as State;
  }
}
