/**
 * Delivers messages to their channels. Each attempt runs outside of any transaction; its outcome goes into the delivery
 * log, and a failed message is tried again by the schedule of its channel.
 *
 *   pending --delivered--> delivered
 *      '--failed, attempts left--> pending, later; or superseded, if a newer message waited for its end
 *      '--failed for ever, or too often--> dead --redeliver--> pending
 *
 * A crash during an attempt repeats it under the same id: a message arrives at least once.
 */
import { instant } from "../../contract/instant.ts";
import { type AgentMessage, SYSTEM_SENDER } from "../../contract/message.ts";
import { CHANNEL_NAMES, type ChannelName, type Notification } from "../../contract/notification.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { earliest } from "../../domain/deadlines.ts";
import { type AgentBroadcast, failed } from "../../notifications/channel.ts";
import type { NotificationMessage } from "../../notifications/notification-message.ts";
import type { NotificationRow } from "../../storage/notifier/notifications.ts";
import { ChannelSender, type SendAttempt } from "./channel-sender.ts";
import { afterAttempt } from "./delivery-outcome.ts";
import { InFlight } from "./in-flight.ts";
import type { NotificationComposer } from "./notification-composer.ts";
import type { NotifierContext } from "./notifier-context.ts";
import { WebhookSwitch } from "./webhook-switch.ts";

/** Attempts under way at a time on one channel; a receiver that does not answer holds each for its timeout. */
const IN_FLIGHT_LIMIT = 10;

/** Due messages that are read on a channel: some of them wait for others about the same incident. */
const DUE_READ = 3 * IN_FLIGHT_LIMIT;

/** While an attempt is under way, the alarm runs this often: after a crash the message is tried again soon. */
const SAFETY_NET_MS = 5000;

const SWITCHED_OFF =
  "the webhook is switched off, since its receiver answered 410 Gone: change its address, or redeliver this message";

/** An attempt that has ended. `address`: the webhook's fingerprint when it started, else empty. */
type Ended = SendAttempt & { address: string; startedMs: number };

export class DeliveryQueue {
  readonly #context: NotifierContext;
  readonly #sender: ChannelSender;
  readonly #webhook: WebhookSwitch;
  readonly #supersede: NotificationComposer["supersede"];
  readonly #inFlight = new InFlight();

  /** @param supersede gives up a message that would arrive after newer ones */
  constructor(context: NotifierContext, supersede: NotificationComposer["supersede"]) {
    this.#context = context;
    this.#sender = new ChannelSender(context);
    this.#webhook = new WebhookSwitch(context);
    this.#supersede = supersede;
  }

  readonly isInFlight = (notificationId: string): boolean => this.#inFlight.has(notificationId);

  load(): void {
    this.#inFlight.dropUnbegun();
  }

  nextWorkMs(nowMs: number): number | null {
    // A message that waits for one under way is started when that one ends.
    const isBusy = !this.#inFlight.isEmpty;
    const isDue = !isBusy && this.#context.notifications.isAnyDue(nowMs);
    return earliest(
      isBusy ? nowMs + SAFETY_NET_MS : null,
      isDue ? nowMs : null,
      this.#context.notifications.nextTryAfterMs(nowMs),
    );
  }

  /** Starts every attempt that is due. Called in a transaction; the attempts begin after it. */
  sendDue(nowMs: number): void {
    for (const channel of CHANNEL_NAMES) {
      for (const row of this.#context.notifications.due(channel, nowMs, DUE_READ)) {
        if (this.#inFlight.dueCountOn(channel) >= IN_FLIGHT_LIMIT) break;
        if (!this.#inFlight.blocks(row.notification)) void this.#start(row, false);
      }
    }
  }

  /** Sends a message once more, in any state, and forgets how often it failed. */
  redeliver(id: string): Outcome<Promise<Notification>> {
    return this.#context.unit.commit((nowMs) => {
      const row = this.#context.notifications.find(id);
      if (row === undefined) return refuse("not_found", "there is no such notification in the delivery log");
      if (this.#inFlight.blocks(row.notification)) {
        return refuse(
          "invalid_transition",
          "this notification, or another one about the same incident, is being sent; try again in a moment",
        );
      }
      const again: Notification = {
        ...row.notification,
        state: "pending",
        try_count: 0,
        next_try_at: instant(nowMs),
      };
      this.#context.notifications.save(row.number, again, nowMs);
      if (row.notification.channel === "webhook") this.#webhook.reset();
      return ok(this.#start({ ...row, notification: again }, true));
    });
  }

  /** Starts a message that was just put into the log. Called in a transaction. */
  sendNow(id: string): Promise<Notification> {
    const row = this.#context.notifications.find(id);
    if (row === undefined) throw new Error("a message must be in the log before it is sent");
    return this.#start(row, true);
  }

  /** Whether an attempt that a caller asked for is under way. */
  get hasRequested(): boolean {
    return this.#inFlight.hasRequested;
  }

  /** @param isRequested a caller asked for this attempt: it is made even if the receiver is gone */
  #start(row: NotificationRow, isRequested: boolean): Promise<Notification> {
    const { id } = row.notification;
    const settled = new Promise<Notification>((resolve, reject) => {
      this.#context.unit.afterCommit(() => {
        this.#inFlight.begun(id);
        this.#run(row, isRequested).then(resolve, reject);
      });
    });
    settled.catch((error: unknown) => {
      this.#context.host.log.line("error", "notification_failed", {
        notification_id: id,
        error: String(error),
      });
    });
    this.#inFlight.start(row.notification, isRequested);
    return settled;
  }

  async #run(row: NotificationRow, isRequested: boolean): Promise<Notification> {
    const { id, channel } = row.notification;
    const message = JSON.parse(row.message) as NotificationMessage;
    const startedMs = this.#context.unit.nowMs();
    const address = channel === "webhook" ? this.#sender.webhookAddress() : "";
    try {
      const refusal = isRequested ? null : this.#refusal(row.notification, address);
      const attempt: SendAttempt =
        refusal === null
          ? await this.#sender.deliver(channel, message, startedMs)
          : { delivery: failed(refusal, { isPermanent: true }), broadcasts: [] };
      return this.#context.unit.commit((nowMs) => {
        this.#inFlight.end(id);
        const settled = this.#settle(id, { ...attempt, address, startedMs }, nowMs);
        this.sendDue(nowMs);
        return settled ?? row.notification;
      });
    } finally {
      this.#inFlight.end(id);
    }
  }

  /** Why no attempt is made at all, or null. */
  #refusal({ channel, kind }: Notification, address: string): string | null {
    if (kind === "test") return "the server restarted before this test was sent; send another test";
    if (channel !== "webhook") return null;
    return this.#context.unit.read(() => this.#webhook.isOff(address)) ? SWITCHED_OFF : null;
  }

  /** Records the outcome of an attempt. @returns undefined if the message is no longer in the log */
  #settle(id: string, ended: Ended, nowMs: number): Notification | undefined {
    const row = this.#context.notifications.find(id);
    if (row === undefined) return undefined;
    const { delivery, broadcasts, address, startedMs } = ended;
    const { notification, nextTryAtMs } = afterAttempt(
      row.notification,
      { delivery, startedMs, endedMs: nowMs },
      this.#retryPlan(row.notification.channel),
    );
    this.#context.notifications.save(row.number, notification, nextTryAtMs);
    for (const broadcast of broadcasts) this.#broadcast(broadcast, nowMs);
    if (!delivery.isDelivered && delivery.isGone) this.#webhook.switchOff(notification, address, nowMs);
    if (delivery.isDelivered && notification.channel === "webhook") this.#webhook.switchOn(address);
    if (notification.state !== "pending") {
      this.#recordEnd(notification, nowMs);
      return notification;
    }
    // Tried again, the message would arrive after those that waited for its end, and be out of date.
    const covered = this.#coveredByNewer(row);
    if (covered.size === 0) return notification;
    this.#supersede({ ...row, notification }, covered, nowMs);
    return this.#context.notifications.find(id)?.notification;
  }

  /** The incidents of a message that a newer, undelivered message is about too. */
  #coveredByNewer({ number, notification }: NotificationRow): ReadonlySet<string> {
    const { channel, dedup_keys: keys } = notification;
    const isNewer = (row: NotificationRow) => row.number > number;
    return new Set(
      keys.filter((key) => this.#context.notifications.pendingAbout(channel, key).some(isNewer)),
    );
  }

  #retryPlan(channel: ChannelName) {
    const { host, settings } = this.#context;
    const chance = Number.parseInt(host.randomId().slice(0, 8), 16) / 2 ** 32;
    return { scheduleMs: settings.retryScheduleMs(channel), chance };
  }

  #broadcast({ groups, content }: AgentBroadcast, nowMs: number): void {
    this.#context.outbox.send("coordinator", {
      type: "broadcast_requested",
      groups: groups === null ? null : [...groups],
      from: SYSTEM_SENDER,
      messageType: "failure_notification",
      content: content as AgentMessage["content"],
      atMs: nowMs,
    });
  }

  /** Every message that was delivered or given up is an event; the dashboard reads them. */
  #recordEnd(notification: Notification, nowMs: number): void {
    const { channel, kind, status, severity, subject, dedup_keys, last_error: error } = notification;
    this.#context.recordEvent(
      {
        type: `notification.${notification.state}`,
        subject: notification.id,
        data: { channel, kind, status, severity, subject, dedup_keys, error },
      },
      nowMs,
    );
  }
}
