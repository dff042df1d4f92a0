/**
 * What a notifier does: tells people of failures through the configured channels and keeps
 * the delivery log. It is fed by the coordinator's outbox, so that no slow receiver ever
 * delays detection or failover.
 */
import type { Page } from "../../contract/common.ts";
import type { Config } from "../../contract/config.ts";
import type { Failure } from "../../contract/failure.ts";
import type { Notification } from "../../contract/notification.ts";
import type { Message } from "../../domain/message.ts";
import { isAtLeast } from "../../domain/severity.ts";
import type { Notice } from "../../notifications/channel.ts";
import { noticeOf } from "../../notifications/notice.ts";
import { channelsNamed } from "../../notifications/registry.ts";
import { MetaStore } from "../../storage/meta.ts";
import { NotificationStore } from "../../storage/notifier/notifications.ts";
import { NOTIFIER_MIGRATIONS } from "../../storage/notifier/schema.ts";
import type { Host, Parcel, Receipt } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { instant } from "../instant.ts";
import { UnitOfWork } from "../unit-of-work.ts";

type NotificationSettings = Config["failure_notification"];

export class Notifier {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #meta: MetaStore;
  readonly #inbox: Inbox;
  readonly #notifications: NotificationStore;
  #settings: NotificationSettings;

  /** @param base what holds until the coordinator's first word */
  constructor(host: Host, base: NotificationSettings) {
    this.#host = host;
    this.#settings = base;
    this.#meta = new MetaStore(host.sql);
    this.#notifications = new NotificationStore(host.sql);
    this.#unit = new UnitOfWork(host, {
      migrations: NOTIFIER_MIGRATIONS,
      load: () => {
        const stored = this.#meta.read("settings");
        this.#settings = stored === null ? base : (JSON.parse(stored) as NotificationSettings);
      },
      nextWorkMs: () => null,
    });
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  receive(parcel: Parcel): Receipt {
    return this.#inbox.receive(parcel);
  }

  notifications(limit: number, cursor: string | null): Page<Notification> {
    return this.#unit.read(() => {
      const before = cursor === null ? null : Number(cursor);
      const found = this.#notifications.list(Number.isSafeInteger(before) ? before : null, limit + 1);
      const page = found.slice(0, limit);
      return {
        items: page.map(({ notification }) => notification),
        next_cursor: found.length > limit ? String(page.at(-1)?.number) : null,
      };
    });
  }

  #apply(message: Message, nowMs: number): string | null {
    switch (message.type) {
      case "configure_notifier":
        this.#settings = message.notification;
        this.#meta.write("settings", JSON.stringify(message.notification));
        return null;
      case "failure_noted":
        this.#tell(message.failure, message.stage, nowMs);
        return null;
      default:
        return `a notifier knows no message "${message.type}"`;
    }
  }

  #tell(failure: Failure, stage: Notice["stage"], nowMs: number): void {
    const { enabled, notification_types, min_severity } = this.#settings;
    if (!enabled || !isAtLeast(failure.severity, min_severity)) return;
    const notice = noticeOf(failure, stage);
    for (const channel of channelsNamed(notification_types)) {
      const delivery = channel.deliver(notice, { log: this.#host.log });
      this.#notifications.insert({
        id: this.#host.randomId(),
        at: instant(nowMs),
        channel: channel.name,
        severity: notice.severity,
        subject: notice.subject,
        failure_id: failure.id,
        state: delivery.delivered ? "delivered" : "failed",
        tries: 1,
        last_error: delivery.delivered ? null : delivery.error,
      });
    }
  }
}
