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
import {
  CHANNEL_NAMES,
  type ChannelName,
  type Notification,
  type NotificationTry,
  TRIES_KEPT,
} from "../../contract/notification.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { fingerprint } from "../../domain/fingerprint.ts";
import { retryDelayMs } from "../../domain/retry-schedule.ts";
import { type Delivery, failed } from "../../notifications/channel.ts";
import type { Notice } from "../../notifications/notice.ts";
import { channelNamed } from "../../notifications/registry.ts";
import { fillIn, withoutSecrets } from "../../notifications/secrets.ts";
import type { NotificationRow } from "../../storage/notifier/notifications.ts";
import { earliest } from "../earliest.ts";
import { instant } from "../instant.ts";
import type { Ledger } from "./ledger.ts";

/** Tries under way at a time on one channel; a receiver that hangs holds each for its time-out. */
const IN_FLIGHT_LIMIT = 10;

/** Due messages looked at on a channel: some of them wait for others about the same incident. */
const LOOKED_AT = 3 * IN_FLIGHT_LIMIT;

/** While something is under way the alarm looks this often: after a crash it is tried again soon. */
const SAFETY_NET_MS = 5000;

/** On top of its own time a channel gets this much before it is given up on. */
const OVERTIME_MS = 5000;

/** `log` and `system` reach nobody outside; they need no time of their own. */
const INNER_TIMEOUT_MS = 1000;

/** The fact that the receiver at an address said that it wants nothing any more. */
const GONE = "webhook_gone";
const SWITCHED_OFF =
  "switched off, since the receiver answered 410 Gone: change the webhook's address, or redeliver";

/** `hasBegun` once the transaction that decided it is stored. */
type Flight = { channel: ChannelName; keys: readonly string[]; hasBegun: boolean };

/** A message for the agents, put into the outbox with the delivery's record. */
type Telling = { groups: readonly string[] | null; content: Record<string, unknown> };

/** Gives up a message of which newer ones tell these incidents; what else it says is told anew. */
type Supersede = (row: NotificationRow, toldAnew: ReadonlySet<string>, nowMs: number) => void;

export class Dispatcher {
  readonly #ledger: Ledger;
  readonly #supersede: Supersede;
  readonly #inFlight = new Map<string, Flight>();

  constructor(ledger: Ledger, supersede: Supersede) {
    this.#ledger = ledger;
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
    const isDue = !isBusy && this.#ledger.notifications.isAnyDue(nowMs);
    return earliest(
      isBusy ? nowMs + SAFETY_NET_MS : null,
      isDue ? nowMs : null,
      this.#ledger.notifications.nextTryAfterMs(nowMs),
    );
  }

  /** Starts every try that is due. To be called in a transaction: they begin after it. */
  sendDue(nowMs: number): void {
    for (const channel of CHANNEL_NAMES) {
      for (const row of this.#ledger.notifications.due(channel, nowMs, LOOKED_AT)) {
        if (this.#countInFlight(channel) >= IN_FLIGHT_LIMIT) break;
        if (!this.#mustWait(row.notification)) this.#start(row, false);
      }
    }
  }

  /** Tries a message once more, whatever its state, and forgets how often it failed. */
  redeliver(id: string): Outcome<Promise<Notification>> {
    return this.#ledger.unit.commit((nowMs) => {
      const row = this.#ledger.notifications.find(id);
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
      this.#ledger.notifications.save(row.number, again, nowMs);
      return ok(this.#start({ ...row, notification: again }, true));
    });
  }

  /** Starts a message that was just put into the log. To be called in a transaction. */
  send(id: string): Promise<Notification> {
    const row = this.#ledger.notifications.find(id);
    if (row === undefined) throw new Error("a message is in the log before it is sent");
    return this.#start(row, true);
  }

  #countInFlight(channel: ChannelName): number {
    return [...this.#inFlight.values()].filter((flight) => flight.channel === channel).length;
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
    const flight = { channel, keys, hasBegun: false };
    const settled = new Promise<Notification>((resolve, reject) => {
      this.#ledger.unit.afterCommit(() => {
        flight.hasBegun = true;
        this.#run(row, isAsked).then(resolve, reject);
      });
    });
    settled.catch((error: unknown) => {
      this.#ledger.host.log.line("error", "notification_failed", {
        notification_id: id,
        error: String(error),
      });
    });
    this.#inFlight.set(id, flight);
    return settled;
  }

  async #run(row: NotificationRow, isAsked: boolean): Promise<Notification> {
    const { id, channel } = row.notification;
    const notice = JSON.parse(row.notice) as Notice;
    const tellings: Telling[] = [];
    const startedMs = this.#ledger.unit.nowMs();
    try {
      const delivery =
        channel === "webhook" && !isAsked && this.#isSwitchedOff()
          ? failed(SWITCHED_OFF, { isPermanent: true })
          : await this.#deliver(channel, notice, startedMs, tellings);
      return this.#ledger.unit.commit((nowMs) => {
        this.#inFlight.delete(id);
        const settled = this.#settle(id, delivery, startedMs, tellings, nowMs);
        this.sendDue(nowMs);
        return settled ?? row.notification;
      });
    } finally {
      this.#inFlight.delete(id);
    }
  }

  /** One try. Never throws, and shows no secret. */
  async #deliver(name: ChannelName, notice: Notice, nowMs: number, tellings: Telling[]): Promise<Delivery> {
    const { outside, host } = this.#ledger;
    const { config, missing, secrets } = fillIn(this.#ledger.config, outside.secret);
    const unset = name === "email" || name === "webhook" ? missing[name] : [];
    if (unset.length > 0) {
      return failed(`set the secret ${unset.join(", ")} in the environment: the configuration names it`);
    }
    const tools = {
      config,
      carriers: outside.carriers,
      log: host.log,
      tellAgents: (groups: readonly string[] | null, content: Record<string, unknown>) =>
        void tellings.push({ groups, content }),
      nowMs,
      allowLocalTargets: outside.allowLocalTargets,
      publicUrl: outside.publicUrl,
    };
    // A digest may take a request for each of its incidents.
    const limitMs = this.#timeoutMs(name) * Math.max(1, notice.incidents.length) + OVERTIME_MS;
    const delivery = await this.#withinTime(limitMs, () => channelNamed(name).deliver(notice, tools));
    if (!delivery.isDelivered) return { ...delivery, error: withoutSecrets(delivery.error, secrets) };
    return { ...delivery, note: delivery.note === null ? null : withoutSecrets(delivery.note, secrets) };
  }

  /** Carriers end by themselves; should one not, its message is not lost with it. */
  #withinTime(limitMs: number, deliver: () => Promise<Delivery>): Promise<Delivery> {
    return new Promise((resolve) => {
      const cancel = this.#ledger.host.after(limitMs, () => resolve(failed("it did not end in time")));
      deliver()
        .catch((error: unknown) => failed(`it broke on our side: ${String(error)}`))
        .then((delivery) => {
          cancel();
          resolve(delivery);
        });
    });
  }

  /** Puts the outcome of a try on record. @returns undefined if the message is no longer in the log */
  #settle(
    id: string,
    delivery: Delivery,
    startedMs: number,
    tellings: readonly Telling[],
    nowMs: number,
  ): Notification | undefined {
    const row = this.#ledger.notifications.find(id);
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
    this.#ledger.notifications.save(row.number, after, nextTryAtMs);
    for (const telling of delivery.isDelivered ? tellings : []) this.#tellAgents(telling, after, nowMs);
    if (!delivery.isDelivered && delivery.isGone) this.#switchOff(after, nowMs);
    if (delivery.isDelivered && after.channel === "webhook") this.#switchOn();
    if (after.state !== "pending") {
      this.#noteEnd(after, nowMs);
      return after;
    }
    // Tried again, it would arrive after what waited for its end, and say what is no longer so.
    const toldAnew = this.#toldAnew(row);
    if (toldAnew.size === 0) return after;
    this.#supersede({ ...row, notification: after }, toldAnew, nowMs);
    return this.#ledger.notifications.find(id)?.notification;
  }

  /** Those of its incidents of which a newer message waits to tell. */
  #toldAnew({ number, notification: { channel, dedup_keys: keys } }: NotificationRow): ReadonlySet<string> {
    const { notifications } = this.#ledger;
    const isNewer = (row: NotificationRow) => row.number > number;
    return new Set(keys.filter((key) => notifications.pendingAbout(channel, key).some(isNewer)));
  }

  /** How long until the next try; null if there is none. A test is tried once. */
  #delayMs(notification: Notification, tryCount: number, delivery: Delivery): number | null {
    if (delivery.isDelivered || delivery.isPermanent || notification.kind === "test") return null;
    const chance = Number.parseInt(this.#ledger.host.randomId().slice(0, 8), 16) / 2 ** 32;
    return retryDelayMs(tryCount, this.#scheduleMs(notification.channel), delivery.retryAfterMs, chance);
  }

  #scheduleMs(channel: ChannelName): number[] {
    const { email_notification: email, webhook_notification: webhook } = this.#ledger.config;
    const seconds = channel === "email" ? email.retry_schedule_seconds : webhook.retry_schedule_seconds;
    return seconds.map((wait) => wait * 1000);
  }

  #timeoutMs(channel: ChannelName): number {
    const { email_notification: email, webhook_notification: webhook } = this.#ledger.config;
    if (channel === "email") return email.timeout_seconds * 1000;
    return channel === "webhook" ? webhook.timeout_seconds * 1000 : INNER_TIMEOUT_MS;
  }

  #tellAgents({ groups, content }: Telling, { channel }: Notification, nowMs: number): void {
    this.#ledger.outbox.post("coordinator", {
      type: "tell_agents",
      groups: groups === null ? null : [...groups],
      from: "coordinator",
      messageType: "failure_notification",
      content: JSON.parse(JSON.stringify({ ...content, channel })),
      atMs: nowMs,
    });
  }

  /** A webhook's address is a secret more often than not: only its fingerprint is kept. */
  #address(): string {
    const { config } = fillIn(this.#ledger.config, this.#ledger.outside.secret);
    return fingerprint(config.webhook_notification.url);
  }

  #isSwitchedOff(): boolean {
    return this.#ledger.unit.read(() => this.#ledger.meta.read(GONE)) === this.#address();
  }

  #switchOff(notification: Notification, nowMs: number): void {
    this.#ledger.meta.write(GONE, this.#address());
    this.#ledger.note(
      "notification.switched_off",
      notification.id,
      { channel: notification.channel, reason: "the receiver answered 410 Gone" },
      nowMs,
    );
  }

  #switchOn(): void {
    if (this.#ledger.meta.read(GONE) !== null) this.#ledger.meta.write(GONE, "");
  }

  /** The cluster's log hears of every message that arrived or was given up; the dashboard reads it there. */
  #noteEnd(notification: Notification, nowMs: number): void {
    this.#ledger.note(
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
