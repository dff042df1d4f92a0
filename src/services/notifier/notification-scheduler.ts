/**
 * Who is told what, and when: plans each channel's messages from the open incidents, puts them
 * together, and hands them to the delivery log. Bounded per channel; what is left over is one digest.
 */

import { isAtLeast, mostSevere, SEVERITIES } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import { instant } from "../../contract/instant.ts";
import type { ChannelName, Notification, NotificationKind } from "../../contract/notification.ts";
import { earliest } from "../../domain/deadlines.ts";
import type { IncidentRecord } from "../../domain/incident/incident.ts";
import {
  closingMs,
  notificationDueMs,
  sentNow,
  withinMessageLimit,
} from "../../domain/incident/notification-timing.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import { headline } from "../../notifications/wording.ts";
import type { NotificationRow } from "../../storage/notifier/notifications.ts";
import type { IncidentGrouper } from "./incident-grouper.ts";
import { dedupKeyOf, incidentView } from "./incident-view.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** What a digest shows of each incident: it may hold fifty. */
const DIGEST_SHOWING = { entriesShown: 3, tasksNamed: 5 };

export class NotificationScheduler {
  readonly #context: NotifierContext;
  readonly #grouper: IncidentGrouper;
  /** Whether a message is on its way right now and must not be superseded. */
  readonly #isInFlight: (notificationId: string) => boolean;

  constructor(
    context: NotifierContext,
    grouper: IncidentGrouper,
    isInFlight: (notificationId: string) => boolean,
  ) {
    this.#context = context;
    this.#grouper = grouper;
    this.#isInFlight = isInFlight;
  }

  /** When somebody is to be told something next, or null. */
  nextWorkMs(nowMs: number): number | null {
    const { channels } = this.#context;
    const dues = channels.map((channel) => this.#nextFor(channel, nowMs));
    return earliest(...dues, ...[...this.#grouper.open()].map((incident) => this.#closingMs(incident)));
  }

  /** Puts together every message that is due, and closes incidents that are over. */
  sendDue(nowMs: number): void {
    for (const channel of this.#context.channels) this.#tellThrough(channel, nowMs);
    for (const incident of [...this.#grouper.open()]) {
      const overMs = this.#closingMs(incident);
      if (overMs !== null && overMs <= nowMs) this.#grouper.close(incident, nowMs);
    }
  }

  /** Puts a message into the delivery log, due now. @returns its id */
  post(
    channel: ChannelName,
    message: { kind: NotificationKind; subject: string; incidents: readonly Incident[] },
    nowMs: number,
  ): string {
    const { cluster, host, config, environment } = this.#context;
    const { kind, subject, incidents } = message;
    const notice: NotificationMessage = {
      id: host.randomId(),
      cluster,
      kind,
      at: instant(nowMs),
      status: incidents.some((incident) => incident.status === "firing") ? "firing" : "resolved",
      severity: incidents.map((incident) => incident.severity).reduce(mostSevere, "info"),
      subject,
      incidents,
      dashboardUrl: config.failure_notification.dashboard_url || environment.publicUrl,
    };
    const notification: Notification = {
      id: notice.id,
      at: notice.at,
      channel,
      kind,
      status: notice.status,
      severity: notice.severity,
      subject,
      dedup_keys: incidents.map((incident) => incident.dedup_key),
      state: "pending",
      try_count: 0,
      tries: [],
      next_try_at: notice.at,
      last_error: null,
    };
    this.#supersedeOlder(notification, nowMs);
    this.#context.notifications.insert(notification, JSON.stringify(notice), nowMs, nowMs);
    this.#context.notifications.prune();
    return notice.id;
  }

  /** Gives up a message of which newer ones tell these incidents; what else it says is told anew. */
  supersede(row: NotificationRow, toldAnew: ReadonlySet<string>, nowMs: number): void {
    const { number, notification, message } = row;
    const superseded = { ...notification, state: "superseded" as const, next_try_at: null };
    this.#context.notifications.save(number, superseded, null);
    const { incidents } = JSON.parse(message) as NotificationMessage;
    const left = incidents.filter(({ dedup_key: key }) => !toldAnew.has(key));
    // An open incident waits for room like any other; a closed one has but what was said of it.
    const closed = left.filter(
      ({ dedup_key: key }) => !this.#grouper.recordUndelivered(this.#idOf(key), notification.channel),
    );
    this.#tellOf(notification.channel, closed, nowMs);
  }

  #idOf(dedupKey: string): string {
    return dedupKey.slice(dedupKeyOf(this.#context.cluster, "").length);
  }

  #tellThrough(channel: ChannelName, nowMs: number): void {
    const due = this.#due(channel, nowMs);
    if (due.length === 0) return;
    const { singles, digest } = withinMessageLimit(due, this.#room(channel, nowMs).messages);
    for (const incident of singles) this.#tellOf(channel, [this.#view(incident, nowMs)], nowMs);
    this.#tellOf(
      channel,
      digest.map((incident) => this.#view(incident, nowMs, DIGEST_SHOWING)),
      nowMs,
    );
    for (const incident of [...singles, ...digest]) {
      const telling = sentNow(incident, this.#grouper.lastSent(incident.id, channel), nowMs);
      this.#grouper.recordSent(incident.id, channel, telling);
    }
  }

  /** One by itself, several as a digest. */
  #tellOf(channel: ChannelName, incidents: readonly Incident[], nowMs: number): void {
    const [first, ...others] = incidents;
    if (first === undefined) return;
    if (others.length === 0) {
      this.post(channel, { kind: "incident", subject: headline(first), incidents }, nowMs);
      return;
    }
    const firing = incidents.filter(({ status }) => status === "firing").length;
    const subject = `${incidents.length} incidents in cluster ${this.#context.cluster}: ${firing} firing, ${incidents.length - firing} resolved`;
    this.post(channel, { kind: "digest", subject, incidents }, nowMs);
  }

  /** The gravest first, then the oldest. */
  #due(channel: ChannelName, nowMs: number): IncidentRecord[] {
    return [...this.#grouper.open()]
      .filter((incident) => {
        const dueMs = this.#dueMs(incident, channel);
        return dueMs !== null && dueMs <= nowMs;
      })
      .sort((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity));
  }

  #dueMs(incident: IncidentRecord, channel: ChannelName): number | null {
    if (!this.#concerns(incident, channel)) return null;
    return notificationDueMs(incident, this.#grouper.lastSent(incident.id, channel), this.#context.times);
  }

  #nextFor(channel: ChannelName, nowMs: number): number | null {
    const dues = [...this.#grouper.open()].map((incident) => this.#dueMs(incident, channel));
    const dueMs = earliest(...dues);
    // A channel that has had its share waits for room, however much is due.
    return dueMs === null || dueMs > nowMs ? dueMs : Math.max(dueMs, this.#room(channel, nowMs).fromMs);
  }

  /** How many messages a channel bears now, and from when on it bears one. */
  #room(channel: ChannelName, nowMs: number): { messages: number; fromMs: number } {
    const { group_interval_seconds, max_messages_per_interval } = this.#context.config.failure_notification;
    const intervalMs = group_interval_seconds * 1000;
    const sentAtMs = this.#context.notifications.sentSince(channel, nowMs - intervalMs);
    const messages = max_messages_per_interval - sentAtMs.length;
    if (messages > 0) return { messages, fromMs: nowMs };
    const leavingMs = sentAtMs[sentAtMs.length - max_messages_per_interval] ?? nowMs;
    return { messages: 0, fromMs: leavingMs + intervalMs };
  }

  #concerns({ severity }: IncidentRecord, channel: ChannelName): boolean {
    return isAtLeast(severity, this.#context.minSeverity(channel));
  }

  #closingMs(incident: IncidentRecord): number | null {
    const tellings = this.#context.channels
      .filter((channel) => this.#concerns(incident, channel))
      .map((channel) => this.#grouper.lastSent(incident.id, channel));
    return closingMs(incident, tellings, this.#context.times);
  }

  #view(incident: IncidentRecord, nowMs: number, showing = {}): Incident {
    return incidentView(incident, this.#context.incidents.entriesOf(incident.id), {
      cluster: this.#context.cluster,
      calmMs: this.#context.times.groupIntervalMs,
      nowMs,
      ...showing,
    });
  }

  /** What waits for another try would arrive after the new message, and say what is no longer so. */
  #supersedeOlder({ channel, dedup_keys }: Notification, nowMs: number): void {
    const keys = new Set(dedup_keys);
    for (const key of keys) {
      for (const older of this.#context.notifications.pendingAbout(channel, key)) {
        if (!this.#isInFlight(older.notification.id)) this.supersede(older, keys, nowMs);
      }
    }
  }
}
