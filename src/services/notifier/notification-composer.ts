/**
 * Composes messages and puts them into the delivery log. A new message supersedes older ones about the same incidents
 * that are not delivered yet: they would arrive later and be out of date.
 */
import { mostSevere } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import { instant } from "../../contract/instant.ts";
import type { ChannelName, Notification, NotificationKind } from "../../contract/notification.ts";
import { opened } from "../../domain/incident/incident.ts";
import { headline } from "../../notifications/incident-summary.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import type { NotificationRow } from "../../storage/notifier/notifications.ts";
import { dedupKeyOf, incidentView } from "./incident-view.ts";
import type { NotifierContext } from "./notifier-context.ts";
import type { OpenIncidents } from "./open-incidents.ts";

type Needs = Pick<NotifierContext, "cluster" | "environment" | "host" | "notifications" | "settings">;

type Content = { kind: NotificationKind; subject: string; incidents: readonly Incident[] };

export class NotificationComposer {
  readonly #context: Needs;
  readonly #open: Pick<OpenIncidents, "recordUndelivered">;
  /** Whether a message is being sent at the moment, so that it must not be superseded. */
  readonly #isInFlight: (notificationId: string) => boolean;

  constructor(
    context: Needs,
    open: Pick<OpenIncidents, "recordUndelivered">,
    isInFlight: (notificationId: string) => boolean,
  ) {
    this.#context = context;
    this.#open = open;
    this.#isInFlight = isInFlight;
  }

  /** A message about one incident, or a digest of several; none if there is no incident. */
  compose(channel: ChannelName, incidents: readonly Incident[], nowMs: number): void {
    const [first, ...others] = incidents;
    if (first === undefined) return;
    if (others.length === 0) {
      this.#add(channel, { kind: "incident", subject: headline(first), incidents }, nowMs);
      return;
    }
    const firing = incidents.filter(({ status }) => status === "firing").length;
    const subject = `${incidents.length} incidents in cluster ${this.#context.cluster}: ${firing} firing, ${incidents.length - firing} resolved`;
    this.#add(channel, { kind: "digest", subject, incidents }, nowMs);
  }

  /** A test message about an invented incident. @returns its id */
  composeTest(channel: ChannelName, nowMs: number): string {
    const { cluster, host } = this.#context;
    const summary = `test message from cluster ${cluster}`;
    const shown = incidentView(opened(`test-${host.randomId()}`, nowMs, "info"), [], {
      cluster,
      calmMs: 0,
      nowMs,
    });
    // A receiver that keeps alerts open by their status closes this one at once.
    const incident: Incident = { ...shown, summary, resolved_at: shown.opened_at };
    return this.#add(channel, { kind: "test", subject: summary, incidents: [incident] }, nowMs);
  }

  /**
   * Gives up a message of which newer messages cover some incidents. Its other incidents are sent again.
   * @param covered the dedup keys that newer messages cover
   */
  supersede(row: NotificationRow, covered: ReadonlySet<string>, nowMs: number): void {
    const { number, notification, message } = row;
    const superseded = { ...notification, state: "superseded" as const, next_try_at: null };
    this.#context.notifications.save(number, superseded, null);
    const { incidents } = JSON.parse(message) as NotificationMessage;
    const left = incidents.filter(({ dedup_key: key }) => !covered.has(key));
    // An open incident is due again and waits its turn. Of a closed one, this message has all that there is to send.
    const closed = left.filter(
      ({ dedup_key: key }) => !this.#open.recordUndelivered(this.#incidentIdOf(key), notification.channel),
    );
    this.compose(notification.channel, closed, nowMs);
  }

  #incidentIdOf(dedupKey: string): string {
    return dedupKey.slice(dedupKeyOf(this.#context.cluster, "").length);
  }

  /** Puts a message into the delivery log, due now. @returns its id */
  #add(channel: ChannelName, { kind, subject, incidents }: Content, nowMs: number): string {
    const { cluster, host, settings, notifications } = this.#context;
    const message: NotificationMessage = {
      id: host.randomId(),
      cluster,
      kind,
      at: instant(nowMs),
      status: incidents.some((incident) => incident.status === "firing") ? "firing" : "resolved",
      severity: incidents.map((incident) => incident.severity).reduce(mostSevere, "info"),
      subject,
      incidents,
      dashboardUrl: settings.config.failure_notification.dashboard_url || null,
    };
    const notification: Notification = {
      id: message.id,
      at: message.at,
      channel,
      kind,
      status: message.status,
      severity: message.severity,
      subject,
      dedup_keys: incidents.map((incident) => incident.dedup_key),
      state: "pending",
      try_count: 0,
      tries: [],
      next_try_at: message.at,
      last_error: null,
    };
    this.#supersedeOlder(notification, nowMs);
    notifications.insert(notification, JSON.stringify(message), nowMs);
    notifications.prune();
    return message.id;
  }

  #supersedeOlder({ channel, dedup_keys }: Notification, nowMs: number): void {
    const keys = new Set(dedup_keys);
    for (const key of keys) {
      for (const older of this.#context.notifications.pendingAbout(channel, key)) {
        if (!this.#isInFlight(older.notification.id)) this.supersede(older, keys, nowMs);
      }
    }
  }
}
