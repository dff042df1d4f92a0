/**
 * Notifies people of failures. The coordinator feeds it through its outbox, so that a slow receiver never delays the
 * detection of failures or a failover. This class is the entry point; the parts do the work.
 *
 *   coordinator --failure_recorded, agent_recovered, task_settled, queue_served, configure_notifier--> notifier
 *   notifier --events_recorded, broadcast_requested--> coordinator
 *
 *   IncidentGrouper (which incident) --> NotificationScheduler (when) --> NotificationComposer (what)
 *     --> DeliveryQueue (attempts and retries) --> ChannelSender (one attempt)
 */
import type { Page } from "../../contract/common.ts";
import type { Incident, IncidentFilter } from "../../contract/incident.ts";
import type {
  Notification,
  NotificationFilter,
  NotificationTestResult,
} from "../../contract/notification.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { earliest } from "../../domain/deadlines.ts";
import { agentKey, queueKey, taskKey } from "../../domain/incident/incident-entry.ts";
import type { MessageBatch, Receipt } from "../../protocol/message-batch.ts";
import type { OutboxMessage } from "../../protocol/messages.ts";
import { NOTIFIER_MIGRATIONS } from "../../storage/notifier/schema.ts";
import { numberCursor, numberOf, pageOf } from "../../storage/page.ts";
import type { Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { DeliveryQueue } from "./delivery-queue.ts";
import { IncidentGrouper } from "./incident-grouper.ts";
import { dedupKeyOf, incidentView } from "./incident-view.ts";
import { NotificationComposer } from "./notification-composer.ts";
import { NotificationScheduler } from "./notification-scheduler.ts";
import { NotifierContext, type NotifierSetup } from "./notifier-context.ts";
import { OpenIncidents } from "./open-incidents.ts";

export class Notifier {
  readonly #unit: UnitOfWork;
  readonly #context: NotifierContext;
  readonly #grouper: IncidentGrouper;
  readonly #scheduler: NotificationScheduler;
  readonly #composer: NotificationComposer;
  readonly #deliveries: DeliveryQueue;
  readonly #inbox: Inbox;

  constructor(host: Host, setup: NotifierSetup) {
    this.#unit = new UnitOfWork(host, {
      migrations: NOTIFIER_MIGRATIONS,
      load: () => {
        context.load();
        open.load();
        this.#grouper.load();
        this.#deliveries.load();
      },
      nextWorkMs: (nowMs) =>
        earliest(
          this.#scheduler.nextWorkMs(nowMs),
          this.#deliveries.nextWorkMs(nowMs),
          this.#grouper.nextExpiryMs(),
          context.outbox.nextWorkMs(),
        ),
    });
    const context = new NotifierContext(host, this.#unit, setup);
    const open = new OpenIncidents(context);
    this.#context = context;
    this.#grouper = new IncidentGrouper(context, open);
    this.#deliveries = new DeliveryQueue(context, (...superseded) => this.#composer.supersede(...superseded));
    this.#composer = new NotificationComposer(context, open, this.#deliveries.isInFlight);
    this.#scheduler = new NotificationScheduler(context, open, this.#composer);
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  receive(batch: MessageBatch): Receipt {
    return this.#inbox.receive(batch);
  }

  onAlarm(): void {
    this.#unit.alarmFired();
    this.#unit.commit((nowMs) => {
      this.#grouper.expire(nowMs);
      this.#scheduler.sendDue(nowMs);
      this.#deliveries.sendDue(nowMs);
      this.#context.outbox.sendDue(nowMs);
    });
  }

  /** The delivery log, newest first. */
  notifications(filter: NotificationFilter, limit: number, cursor: string | null): Page<Notification> {
    return this.#unit.read(() => {
      const dedupKey = this.#dedupKeyFor(filter);
      if (dedupKey === undefined) return { items: [], next_cursor: null };
      const found = this.#context.notifications.list({ ...filter, dedupKey }, numberOf(cursor), limit);
      return pageOf(found, ({ notification }) => notification, numberCursor);
    });
  }

  /** Newest first. */
  incidents({ status }: IncidentFilter, limit: number, cursor: string | null): Page<Incident> {
    return this.#unit.read((nowMs) => {
      const { cluster, entries, incidents, settings } = this.#context;
      const options = { cluster, calmMs: settings.times.groupIntervalMs, nowMs };
      const found = incidents.list({ status: status ?? null, nowMs }, numberOf(cursor), limit);
      return pageOf(
        found,
        ({ incident }) => incidentView(incident, entries.of(incident.id), options),
        numberCursor,
      );
    });
  }

  /** Sends a message once more. Resolves when that attempt has ended. */
  async redeliver(id: string): Promise<Outcome<Notification>> {
    const started = this.#deliveries.redeliver(id);
    return started.ok ? ok(await started.value) : started;
  }

  /** Sends a test on every configured channel. Resolves when each attempt has ended. */
  async test(): Promise<Outcome<NotificationTestResult[]>> {
    const started = this.#unit.commit((nowMs): Outcome<Promise<Notification>[]> => {
      if (this.#deliveries.hasRequested) {
        return refuse("invalid_transition", "another test or redelivery is under way; wait for its answer");
      }
      const { notification_types } = this.#context.settings.config.failure_notification;
      return ok(
        notification_types.map((channel) =>
          this.#deliveries.sendNow(this.#composer.composeTest(channel, nowMs)),
        ),
      );
    });
    if (!started.ok) return started;
    const notifications = await Promise.all(started.value);
    const results = notifications.map(({ id, channel, state, last_error, tries }) => ({
      channel,
      delivered: state === "delivered",
      error: last_error,
      duration_seconds: tries.at(-1)?.duration_seconds ?? 0,
      notification_id: id,
    }));
    return ok(results);
  }

  #apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "configure_notifier":
        this.#context.settings.apply(message);
        return null;
      case "failure_recorded":
        if (message.stage === "recorded") {
          this.#grouper.failureRecorded(message.failure, message.about, nowMs);
        } else if (message.stage === "corrected") {
          this.#grouper.failureCorrected(message.failure, nowMs);
        } else {
          this.#grouper.failoverDone(message.failure, message.moved ?? [], nowMs);
        }
        return null;
      case "agent_recovered":
        this.#grouper.recovered(agentKey(message.agentId), { by: message.by, atMs: message.atMs }, nowMs);
        return null;
      case "task_settled":
        this.#grouper.recovered(taskKey(message.taskId), { by: "task_ended", atMs: message.atMs }, nowMs);
        return null;
      case "queue_served":
        this.#grouper.recovered(
          queueKey(message.taskType),
          { by: "queue_served", atMs: message.atMs },
          nowMs,
        );
        return null;
      default:
        return `a notifier does not handle messages of type "${message.type}"`;
    }
  }

  /** The incident that a filter names: null for any, undefined if there is none. */
  #dedupKeyFor({ dedup_key, failure_id }: NotificationFilter): string | null | undefined {
    if (failure_id === undefined) return dedup_key ?? null;
    const covering = this.#context.coveredFailures.find(failure_id);
    const key = covering && dedupKeyOf(this.#context.cluster, covering.incidentId);
    return dedup_key === undefined || dedup_key === key ? key : undefined;
  }
}
