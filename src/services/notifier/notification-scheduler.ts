/**
 * When each channel is sent a message, and about which incidents. A channel gets a bounded number of messages in an
 * interval; incidents beyond it share one digest.
 */
import { isAtLeast, SEVERITIES } from "../../contract/failure.ts";
import type { Incident } from "../../contract/incident.ts";
import type { ChannelName } from "../../contract/notification.ts";
import { earliest } from "../../domain/deadlines.ts";
import type { IncidentRecord } from "../../domain/incident/incident.ts";
import {
  closingMs,
  notificationDueMs,
  sentNow,
  withinMessageLimit,
} from "../../domain/incident/notification-timing.ts";
import { incidentView, type ViewLimits } from "./incident-view.ts";
import type { NotificationComposer } from "./notification-composer.ts";
import type { NotifierContext } from "./notifier-context.ts";
import type { OpenIncidents } from "./open-incidents.ts";

/** What a digest shows of each incident: it may have fifty. */
const DIGEST_LIMITS: ViewLimits = { entriesShown: 3, tasksNamed: 5 };

type Needs = Pick<NotifierContext, "cluster" | "entries" | "notifications" | "settings">;

export class NotificationScheduler {
  readonly #context: Needs;
  readonly #open: OpenIncidents;
  readonly #composer: Pick<NotificationComposer, "compose">;

  constructor(context: Needs, open: OpenIncidents, composer: Pick<NotificationComposer, "compose">) {
    this.#context = context;
    this.#open = open;
    this.#composer = composer;
  }

  /** When the next message is due or an incident closes; null if neither will happen. */
  nextWorkMs(nowMs: number): number | null {
    const dues = this.#context.settings.channels.map((channel) => this.#nextDueMs(channel, nowMs));
    return earliest(...dues, ...this.#open.all().map((incident) => this.#closingMs(incident)));
  }

  /** Composes every message that is due, and closes the incidents that are over. */
  sendDue(nowMs: number): void {
    for (const channel of this.#context.settings.channels) this.#composeDue(channel, nowMs);
    for (const incident of this.#open.all()) {
      const overMs = this.#closingMs(incident);
      if (overMs !== null && overMs <= nowMs) this.#open.close(incident, nowMs);
    }
  }

  #composeDue(channel: ChannelName, nowMs: number): void {
    const due = this.#due(channel, nowMs);
    if (due.length === 0) return;
    const { singles, digest } = withinMessageLimit(due, this.#quota(channel, nowMs).messages);
    for (const incident of singles) {
      this.#composer.compose(channel, [this.#view(incident, nowMs)], nowMs);
    }
    const shared = digest.map((incident) => this.#view(incident, nowMs, DIGEST_LIMITS));
    this.#composer.compose(channel, shared, nowMs);
    for (const incident of [...singles, ...digest]) {
      const record = sentNow(incident, this.#open.lastSent(incident.id, channel), nowMs);
      this.#open.recordSent(incident.id, channel, record);
    }
  }

  /** The incidents that are due on a channel, the most severe first, then the oldest. */
  #due(channel: ChannelName, nowMs: number): IncidentRecord[] {
    return this.#open
      .all()
      .filter((incident) => {
        const dueMs = this.#dueMs(incident, channel);
        return dueMs !== null && dueMs <= nowMs;
      })
      .sort((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity));
  }

  #dueMs(incident: IncidentRecord, channel: ChannelName): number | null {
    if (!this.#isFor(channel, incident)) return null;
    const lastSent = this.#open.lastSent(incident.id, channel);
    return notificationDueMs(incident, lastSent, this.#context.settings.times);
  }

  #nextDueMs(channel: ChannelName, nowMs: number): number | null {
    const dueMs = earliest(...this.#open.all().map((incident) => this.#dueMs(incident, channel)));
    // A channel that has used up its messages waits, however much is due.
    return dueMs === null || dueMs > nowMs ? dueMs : Math.max(dueMs, this.#quota(channel, nowMs).fromMs);
  }

  /** How many messages a channel may still get in this interval, and from when on it may get one. */
  #quota(channel: ChannelName, nowMs: number): { messages: number; fromMs: number } {
    const { group_interval_seconds, max_messages_per_interval: limit } =
      this.#context.settings.config.failure_notification;
    const intervalMs = group_interval_seconds * 1000;
    const createdAtMs = this.#context.notifications.createdSince(channel, nowMs - intervalMs);
    const messages = limit - createdAtMs.length;
    if (messages > 0) return { messages, fromMs: nowMs };
    const leavingMs = createdAtMs[createdAtMs.length - limit] ?? nowMs;
    return { messages: 0, fromMs: leavingMs + intervalMs };
  }

  #isFor(channel: ChannelName, { severity }: IncidentRecord): boolean {
    return isAtLeast(severity, this.#context.settings.minSeverity(channel));
  }

  #closingMs(incident: IncidentRecord): number | null {
    const { channels, times } = this.#context.settings;
    const lastSents = channels
      .filter((channel) => this.#isFor(channel, incident))
      .map((channel) => this.#open.lastSent(incident.id, channel));
    return closingMs(incident, lastSents, times);
  }

  #view(incident: IncidentRecord, nowMs: number, limits: ViewLimits = {}): Incident {
    return incidentView(incident, this.#context.entries.of(incident.id), {
      cluster: this.#context.cluster,
      calmMs: this.#context.settings.times.groupIntervalMs,
      nowMs,
      ...limits,
    });
  }
}
