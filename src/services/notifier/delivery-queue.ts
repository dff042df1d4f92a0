/**
 * Brings messages to their channels: every try is outside of any transaction, its outcome goes
 * into the delivery log, and what failed is tried again by the channel's schedule.
 *
 *   pending --delivered--> delivered
 *      '--failed, tries left--> pending, later; or superseded, if a newer message waited for its end
 *      '--failed for good, or too often--> dead --redeliver--> pending
 *
 * A crash in the middle of a try repeats it, under the same id: a message arrives at least once.
 */

import { instant } from "../../contract/instant.ts";
import { type AgentMessage, SYSTEM_SENDER } from "../../contract/message.ts";
import {
  CHANNEL_NAMES,
  type ChannelName,
  type Notification,
  type NotificationTry,
  TRIES_KEPT,
} from "../../contract/notification.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { retryDelayMs } from "../../domain/backoff.ts";
import { earliest } from "../../domain/deadlines.ts";
import { type Delivery, failed } from "../../notifications/channel.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import type { NotificationRow } from "../../storage/notifier/notifications.ts";
import { type AgentNotice, ChannelSender, type SendAttempt } from "./channel-sender.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** Tries under way at a time on one channel; a receiver that hangs holds each for its time-out. */
const IN_FLIGHT_LIMIT = 10;

/** Due messages looked at on a channel: some of them wait for others about the same incident. */
const LOOKED_AT = 3 * IN_FLIGHT_LIMIT;

/** While something is under way the alarm looks this often: after a crash it is tried again soon. */
const SAFETY_NET_MS = 5000;

/** The fact that the receiver at an address said that it wants nothing any more. */
const GONE = "webhook_gone";
const SWITCHED_OFF =
  "switched off, since the receiver answered 410 Gone: change the webhook's address, or redeliver";

/** `hasBegun` once the transaction that decided it is stored. */
type Flight = { channel: ChannelName; keys: readonly string[]; isAsked: boolean; hasBegun: boolean };

/** Gives up a message of which newer ones tell these incidents; what else it says is told anew. */
type Supersede = (row: NotificationRow, toldAnew: ReadonlySet<string>, nowMs: number) => void;

export class DeliveryQueue {
  readonly #context: NotifierContext;
  readonly #sender: ChannelSender;
  readonly #supersede: Supersede;
  readonly #inFlight = new Map<string, Flight>();

  constructor(context: NotifierContext, supersede: Supersede) {
    this.#context = context;
    this.#sender = new ChannelSender(context);
    this.#supersede = supersede;
  }

  readonly isInFlight = (notificationId: string): boolean => this.#inFlight.has(notificationId);

  /** After a transaction that did not commit, what it was to start never began. */
  load(): void {
    for (const [id, { hasBegun }] of this.#inFlight) if (!hasBegun) this.#inFlight.delete(id);
  }

  nextWorkMs(nowMs: number): number | null {
    // What is due behind something under way is started when that one ends.
    const isBusy = this.#inFlight.size > 0;
    const isDue = !isBusy && this.#context.notifications.isAnyDue(nowMs);
    return earliest(
      isBusy ? nowMs + SAFETY_NET_MS : null,
      isDue ? nowMs : null,
      this.#context.notifications.nextTryAfterMs(nowMs),
    );
  }

  /** Starts every try that is due. To be called in a transaction: they begin after it. */
  sendDue(nowMs: number): void {
    for (const channel of CHANNEL_NAMES) {
      for (const row of this.#context.notifications.due(channel, nowMs, LOOKED_AT)) {
        if (this.#inFlightOn(channel) >= IN_FLIGHT_LIMIT) break;
        if (!this.#mustWait(row.notification)) this.#start(row, false);
      }
    }
  }

  /** Tries a message once more, whatever its state, and forgets how often it failed. */
  redeliver(id: string): Outcome<Promise<Notification>> {
    return this.#context.unit.commit((nowMs) => {
      const row = this.#context.notifications.find(id);
      if (row === undefined) return refuse("not_found", "there is no such notification in the delivery log");
      if (this.#mustWait(row.notification)) {
        return refuse("invalid_transition", "it is being sent right now; look again in a moment");
      }
      const again: Notification = {
        ...row.notification,
        state: "pending",
        try_count: 0,
        next_try_at: instant(nowMs),
      };
      this.#context.notifications.save(row.number, again, nowMs);
      // Whoever asks knows that the receiver is there again.
      if (row.notification.channel === "webhook") this.#context.meta.write(GONE, "");
      return ok(this.#start({ ...row, notification: again }, true));
    });
  }

  /** Starts a message that was just put into the log. To be called in a transaction. */
  send(id: string): Promise<Notification> {
    const row = this.#context.notifications.find(id);
    if (row === undefined) throw new Error("a message is in the log before it is sent");
    return this.#start(row, true);
  }

  /** Whether a message that somebody asked for is under way. */
  get isTesting(): boolean {
    return [...this.#inFlight.values()].some((flight) => flight.isAsked);
  }

  /** What somebody asked for is beyond the limit, so that it never holds up what is due. */
  #inFlightOn(channel: ChannelName): number {
    return [...this.#inFlight.values()].filter((flight) => flight.channel === channel && !flight.isAsked)
      .length;
  }

  /** It is under way, or an older message about the same incident is: they arrive in order. */
  #mustWait({ id, channel, dedup_keys: keys }: Notification): boolean {
    if (this.#inFlight.has(id)) return true;
    return [...this.#inFlight.values()].some(
      (flight) => flight.channel === channel && flight.keys.some((key) => keys.includes(key)),
    );
  }

  /** @param isAsked somebody asked for this very try, whatever the receiver said before */
  #start(row: NotificationRow, isAsked: boolean): Promise<Notification> {
    const { id, channel, dedup_keys: keys } = row.notification;
    const flight = { channel, keys, isAsked, hasBegun: false };
    const settled = new Promise<Notification>((resolve, reject) => {
      this.#context.unit.afterCommit(() => {
        flight.hasBegun = true;
        this.#run(row, isAsked).then(resolve, reject);
      });
    });
    settled.catch((error: unknown) => {
      this.#context.host.log.line("error", "notification_failed", {
        notification_id: id,
        error: String(error),
      });
    });
    this.#inFlight.set(id, flight);
    return settled;
  }

  async #run(row: NotificationRow, isAsked: boolean): Promise<Notification> {
    const { id, channel } = row.notification;
    const notice = JSON.parse(row.message) as NotificationMessage;
    const startedMs = this.#context.unit.nowMs();
    const address = channel === "webhook" ? this.#sender.webhookAddress() : "";
    try {
      const refusal = isAsked ? null : this.#refusal(row.notification, address);
      const attempt: SendAttempt =
        refusal === null
          ? await this.#sender.deliver(channel, notice, startedMs)
          : { delivery: failed(refusal, { isPermanent: true }), agentNotices: [] };
      return this.#context.unit.commit((nowMs) => {
        this.#inFlight.delete(id);
        const settled = this.#settle(id, attempt, address, startedMs, nowMs);
        this.sendDue(nowMs);
        return settled ?? row.notification;
      });
    } finally {
      this.#inFlight.delete(id);
    }
  }

  /** Why a message is not even tried, or null. */
  #refusal({ channel, kind }: Notification, address: string): string | null {
    if (kind === "test") return "a restart came in between: test again";
    const gone = channel === "webhook" ? this.#context.unit.read(() => this.#context.meta.read(GONE)) : null;
    return gone !== null && gone === address ? SWITCHED_OFF : null;
  }

  /** Puts the outcome of a try on record. @returns undefined if the message is no longer in the log */
  #settle(
    id: string,
    { delivery, agentNotices }: SendAttempt,
    address: string,
    startedMs: number,
    nowMs: number,
  ): Notification | undefined {
    const row = this.#context.notifications.find(id);
    if (row === undefined) return undefined;
    const before = row.notification;
    const tryCount = before.try_count + 1;
    const delayMs = this.#delayMs(before, tryCount, delivery);
    const nextTryAtMs = delayMs === null ? null : nowMs + Math.ceil(delayMs);
    const nextTryAt = nextTryAtMs === null ? null : instant(nextTryAtMs);
    const error = delivery.isDelivered ? delivery.note : delivery.error;
    const attempt: NotificationTry = {
      at: instant(startedMs),
      outcome: delivery.isDelivered ? "delivered" : "failed",
      duration_seconds: Math.max(0, nowMs - startedMs) / 1000,
      error,
      next_try_at: nextTryAt,
    };
    const after: Notification = {
      ...before,
      state: delivery.isDelivered ? "delivered" : nextTryAt === null ? "dead" : "pending",
      try_count: tryCount,
      tries: [...before.tries, attempt].slice(-TRIES_KEPT),
      next_try_at: nextTryAt,
      last_error: error,
    };
    this.#context.notifications.save(row.number, after, nextTryAtMs);
    for (const agentNotice of agentNotices) this.#tellAgents(agentNotice, nowMs);
    if (!delivery.isDelivered && delivery.isGone) this.#switchOff(after, address, nowMs);
    if (delivery.isDelivered && after.channel === "webhook") this.#switchOn(address);
    if (after.state !== "pending") {
      this.#noteEnd(after, nowMs);
      return after;
    }
    // Tried again, it would arrive after what waited for its end, and say what is no longer so.
    const toldAnew = this.#toldAnew(row);
    if (toldAnew.size === 0) return after;
    this.#supersede({ ...row, notification: after }, toldAnew, nowMs);
    return this.#context.notifications.find(id)?.notification;
  }

  /** Those of its incidents of which a newer message waits to tell. */
  #toldAnew({ number, notification: { channel, dedup_keys: keys } }: NotificationRow): ReadonlySet<string> {
    const { notifications } = this.#context;
    const isNewer = (row: NotificationRow) => row.number > number;
    return new Set(keys.filter((key) => notifications.pendingAbout(channel, key).some(isNewer)));
  }

  /** How long until the next try; null if there is none. A test is tried once. */
  #delayMs(notification: Notification, tryCount: number, delivery: Delivery): number | null {
    if (delivery.isDelivered || delivery.isPermanent || notification.kind === "test") return null;
    const chance = Number.parseInt(this.#context.host.randomId().slice(0, 8), 16) / 2 ** 32;
    const scheduleMs = this.#scheduleMs(notification.channel);
    return retryDelayMs({ failures: tryCount, scheduleMs, retryAfterMs: delivery.retryAfterMs }, chance);
  }

  #scheduleMs(channel: ChannelName): number[] {
    const { email_notification: email, webhook_notification: webhook } = this.#context.config;
    const seconds = channel === "email" ? email.retry_schedule_seconds : webhook.retry_schedule_seconds;
    return seconds.map((wait) => wait * 1000);
  }

  #tellAgents({ groups, content }: AgentNotice, nowMs: number): void {
    this.#context.outbox.send("coordinator", {
      type: "broadcast_requested",
      groups: groups === null ? null : [...groups],
      from: SYSTEM_SENDER,
      messageType: "failure_notification",
      content: content as AgentMessage["content"],
      atMs: nowMs,
    });
  }

  /** @param address the one that was tried: the configuration may have changed meanwhile */
  #switchOff(notification: Notification, address: string, nowMs: number): void {
    this.#context.meta.write(GONE, address);
    this.#context.recordEvent(
      "notification.disabled",
      notification.id,
      { channel: notification.channel, reason: "the receiver answered 410 Gone" },
      nowMs,
    );
  }

  #switchOn(address: string): void {
    if (this.#context.meta.read(GONE) === address) this.#context.meta.write(GONE, "");
  }

  /** The cluster's log hears of every message that arrived or was given up; the dashboard reads it there. */
  #noteEnd(notification: Notification, nowMs: number): void {
    this.#context.recordEvent(
      `notification.${notification.state}`,
      notification.id,
      {
        channel: notification.channel,
        kind: notification.kind,
        status: notification.status,
        severity: notification.severity,
        subject: notification.subject,
        dedup_keys: notification.dedup_keys,
        error: notification.last_error,
      },
      nowMs,
    );
  }
}
