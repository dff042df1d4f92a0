/** The part of the configuration that the notifier uses. The coordinator sends each version; the file is the base. */
import { mostSevere, type Severity } from "../../contract/failure.ts";
import type { ChannelName } from "../../contract/notification.ts";
import type { NotificationTimes } from "../../domain/incident/notification-timing.ts";
import type { NotificationConfig } from "../../notifications/channel.ts";
import type { ConfigureNotifier } from "../../protocol/messages.ts";
import type { MetaStore } from "../../storage/meta.ts";

/** The record in `meta`. */
type StoredConfig = { version: number; config: NotificationConfig };

export class NotifierSettings {
  readonly #meta: MetaStore;
  readonly #base: NotificationConfig;
  #config: NotificationConfig;
  #version = 0;

  /** @param base holds until the coordinator has sent a configuration */
  constructor(meta: MetaStore, base: NotificationConfig) {
    this.#meta = meta;
    this.#base = base;
    this.#config = base;
  }

  load(): void {
    const stored = this.#meta.read("config");
    const { version, config } =
      stored === null ? { version: 0, config: this.#base } : (JSON.parse(stored) as StoredConfig);
    this.#version = version;
    this.#config = config;
  }

  /** Ignores a version that is older than the one in force. */
  apply({ version, notification, email, webhook }: ConfigureNotifier): void {
    if (version < this.#version) return;
    this.#version = version;
    this.#config = {
      failure_notification: notification,
      email_notification: email ?? this.#config.email_notification,
      webhook_notification: webhook ?? this.#config.webhook_notification,
    };
    this.#meta.write("config", JSON.stringify({ version, config: this.#config } satisfies StoredConfig));
  }

  get config(): NotificationConfig {
    return this.#config;
  }

  get times(): NotificationTimes {
    const { failure_notification: config } = this.#config;
    return {
      groupWaitMs: config.group_wait_seconds * 1000,
      groupIntervalMs: config.group_interval_seconds * 1000,
      repeatIntervalMs: config.repeat_interval_seconds * 1000,
    };
  }

  /** The channels that notifications are sent to; none while notifications are switched off. */
  get channels(): readonly ChannelName[] {
    const { enabled, notification_types } = this.#config.failure_notification;
    return enabled ? notification_types : [];
  }

  /** The least severity that a channel is sent. */
  minSeverity(channel: ChannelName): Severity {
    const { min_severity, channel_min_severity } = this.#config.failure_notification;
    return mostSevere(min_severity, channel_min_severity[channel] ?? min_severity);
  }

  /** The waits between the attempts to deliver one message. */
  retryScheduleMs(channel: ChannelName): number[] {
    const { email_notification: email, webhook_notification: webhook } = this.#config;
    const seconds = channel === "email" ? email.retry_schedule_seconds : webhook.retry_schedule_seconds;
    return seconds.map((wait) => wait * 1000);
  }
}
