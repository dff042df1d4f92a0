/** What the parts of a notifier share: its records, its configuration, and how it speaks to the coordinator. */
import { mostSevere, type Severity } from "../../contract/failure.ts";
import type { ChannelName } from "../../contract/notification.ts";
import type { NotificationTimes } from "../../domain/incident/notification-timing.ts";
import type { NotificationConfig } from "../../notifications/channel.ts";
import type { ConfigureNotifier } from "../../protocol/messages.ts";
import { MetaStore } from "../../storage/meta.ts";
import { IncidentStore } from "../../storage/notifier/incidents.ts";
import { NotificationStore } from "../../storage/notifier/notifications.ts";
import type { Host } from "../host.ts";
import { Outbox } from "../outbox.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { NotifierEnvironment } from "./notifier-environment.ts";

export class NotifierContext {
  readonly cluster: string;
  readonly host: Host;
  readonly unit: UnitOfWork;
  readonly environment: NotifierEnvironment;
  readonly meta: MetaStore;
  readonly incidents: IncidentStore;
  readonly notifications: NotificationStore;
  readonly outbox: Outbox;
  readonly #base: NotificationConfig;
  #config: NotificationConfig;
  #version = 0;

  /** @param base what holds until the coordinator's first word */
  constructor(
    host: Host,
    unit: UnitOfWork,
    environment: NotifierEnvironment,
    cluster: string,
    base: NotificationConfig,
  ) {
    this.cluster = cluster;
    this.host = host;
    this.unit = unit;
    this.environment = environment;
    this.#base = base;
    this.#config = base;
    this.meta = new MetaStore(host.sql);
    this.incidents = new IncidentStore(host.sql);
    this.notifications = new NotificationStore(host.sql);
    this.outbox = new Outbox({ host, unit, meta: this.meta }, ({ receiver, messageType, reason }) => {
      // No event about it: the way to the event log is the one that is closed.
      host.log.line("error", "message_dead_lettered", { receiver, message_type: messageType, reason });
    });
  }

  load(): void {
    if (this.meta.read("stream_id") === null) this.meta.write("stream_id", this.host.randomId());
    const stored = this.meta.read("config");
    const { version, config } =
      stored === null
        ? { version: 0, config: this.#base }
        : (JSON.parse(stored) as { version: number; config: NotificationConfig });
    this.#version = version;
    this.#config = config;
    this.outbox.load();
  }

  get config(): NotificationConfig {
    return this.#config;
  }

  configure({ version, notification, email, webhook }: ConfigureNotifier): void {
    if (version < this.#version) return;
    this.#version = version;
    this.#config = {
      failure_notification: notification,
      email_notification: email ?? this.#config.email_notification,
      webhook_notification: webhook ?? this.#config.webhook_notification,
    };
    this.meta.write("config", JSON.stringify({ version, config: this.#config }));
  }

  get times(): NotificationTimes {
    const { failure_notification: config } = this.#config;
    return {
      groupWaitMs: config.group_wait_seconds * 1000,
      groupIntervalMs: config.group_interval_seconds * 1000,
      repeatIntervalMs: config.repeat_interval_seconds * 1000,
    };
  }

  /** The channels that are to be told. */
  get channels(): readonly ChannelName[] {
    const { enabled, notification_types } = this.#config.failure_notification;
    return enabled ? notification_types : [];
  }

  minSeverity(channel: ChannelName): Severity {
    const { min_severity, channel_min_severity } = this.#config.failure_notification;
    return mostSevere(min_severity, channel_min_severity[channel] ?? min_severity);
  }

  /** Adds an event to the cluster's log. */
  recordEvent(
    type: string,
    subject: string,
    data: Record<string, string | number | string[] | null>,
    nowMs: number,
  ): void {
    this.outbox.send("coordinator", {
      type: "events_recorded",
      atMs: nowMs,
      events: [{ type, subject, data }],
    });
  }
}
