/**
 * The configuration in force: the file is the base, and the changes that `PUT` and `PATCH` stored are applied on top.
 * Each change is a new version.
 */
import type { Config } from "../../../contract/config.ts";
import { fingerprint } from "../../../domain/fingerprint.ts";
import type { GroupSettings } from "../../../protocol/messages.ts";
import type { MetaStore } from "../../../storage/meta.ts";
import { effectiveConfig } from "../../../validation/configuration/config-changes.ts";
import type { ConfigOverrides } from "../../../validation/configuration/overrides.ts";
import { redactConfig } from "../../../validation/configuration/secrets.ts";
import type { Log } from "../../host.ts";

export class ClusterSettings {
  readonly base: Config;
  readonly #meta: MetaStore;
  readonly #log: Log;
  #config: Config;
  #overrides: ConfigOverrides = [];
  #version = 1;

  constructor(base: Config, meta: MetaStore, log: Log) {
    this.base = base;
    this.#config = base;
    this.#meta = meta;
    this.#log = log;
  }

  load(): void {
    this.#version = Number(this.#meta.read("config_version") ?? "1");
    this.#overrides = JSON.parse(this.#meta.read("config_overrides") ?? "[]") as ConfigOverrides;
    const effective = effectiveConfig(this.base, this.#overrides);
    this.#config = effective.ok ? effective.config : this.base;
    if (!effective.ok) {
      this.#log.line("error", "config_overrides_do_not_fit", { errors: effective.errors });
    }
  }

  get config(): Config {
    return this.#config;
  }

  get overrides(): ConfigOverrides {
    return this.#overrides;
  }

  get version(): number {
    return this.#version;
  }

  /** Changes with the configuration, whether by a call or by a new file; does not depend on secrets. */
  get etag(): string {
    return `"${this.#version}-${fingerprint(redactConfig(this.#config))}"`;
  }

  /** Changes with the configuration, secrets included: says whether the other objects have it. Never shown. */
  get contentMark(): string {
    return `${this.#version}-${fingerprint(this.#config)}`;
  }

  get agingMs(): number {
    return this.#config.task_config.priority_aging_seconds * 1000;
  }

  get retentionMs(): number {
    return this.#config.task_config.retention_seconds * 1000;
  }

  store(config: Config, overrides: ConfigOverrides): void {
    this.#config = config;
    this.#overrides = overrides;
    this.#version += 1;
    this.#meta.write("config_version", String(this.#version));
    this.#meta.write("config_overrides", JSON.stringify(overrides));
  }

  /** The part that groups need. */
  forGroups(): GroupSettings {
    const { failover_config, heartbeat_config, lock_config } = this.#config;
    return {
      version: this.#version,
      failoverEnabled: failover_config.enabled,
      reconnectGraceMs: heartbeat_config.reconnect_grace_seconds * 1000,
      defaultLockTtlMs: lock_config.default_ttl_seconds * 1000,
      maxLockTtlMs: lock_config.max_ttl_seconds * 1000,
      lockDelayMs: lock_config.lock_delay_seconds * 1000,
    };
  }
}
