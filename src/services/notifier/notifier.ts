/**
 * What a notifier does: tells people of failures. It is fed by the coordinator's outbox, so that no
 * slow receiver ever delays detection or failover. This class is the door.
 *
 *   coordinator --failure_recorded, agent_recovered, task_settled, configure_notifier--> notifier
 *   notifier --events_recorded, broadcast_requested--> coordinator
 *
 *   Casebook (which incident) --> Teller (who is told what, when) --> Dispatcher (tries, outcomes)
 */
import type { Page } from "../../contract/common.ts";
import type { Incident, IncidentFilter } from "../../contract/incident.ts";
import type {
  ChannelName,
  Notification,
  NotificationFilter,
  NotificationTestResult,
} from "../../contract/notification.ts";
import type { Outcome } from "../../contract/problem.ts";
import { ok, refuse } from "../../contract/problem.ts";
import { earliest } from "../../domain/deadlines.ts";
import { opened } from "../../domain/incident/incident.ts";
import { agentKey, taskKey } from "../../domain/incident/incident-entry.ts";
import type { NotificationConfig } from "../../notifications/channel.ts";
import type { MessageBatch, Receipt } from "../../protocol/message-batch.ts";
import type { OutboxMessage } from "../../protocol/messages.ts";
import { NOTIFIER_MIGRATIONS } from "../../storage/notifier/schema.ts";
import type { Host } from "../host.ts";
import { Inbox } from "../inbox.ts";
import { UnitOfWork } from "../unit-of-work.ts";
import { DeliveryQueue } from "./delivery-queue.ts";
import { IncidentGrouper } from "./incident-grouper.ts";
import { dedupKeyOf, incidentView } from "./incident-view.ts";
import { NotificationScheduler } from "./notification-scheduler.ts";
import { NotifierContext } from "./notifier-context.ts";
import type { NotifierEnvironment } from "./notifier-environment.ts";

export class Notifier {
  readonly #unit: UnitOfWork;
  readonly #context: NotifierContext;
  readonly #grouper: IncidentGrouper;
  readonly #scheduler: NotificationScheduler;
  readonly #deliveries: DeliveryQueue;
  readonly #inbox: Inbox;
  readonly #host: Host;

  /** @param base what holds until the coordinator's first word */
  constructor(host: Host, environment: NotifierEnvironment, cluster: string, base: NotificationConfig) {
    this.#host = host;
    this.#unit = new UnitOfWork(host, {
      migrations: NOTIFIER_MIGRATIONS,
      load: () => {
        this.#context.load();
        this.#grouper.load();
        this.#deliveries.load();
      },
      nextWorkMs: (nowMs) =>
        earliest(
          this.#scheduler.nextWorkMs(nowMs),
          this.#deliveries.nextWorkMs(nowMs),
          this.#grouper.nextExpiryMs(),
          this.#context.outbox.nextWorkMs(),
        ),
    });
    this.#context = new NotifierContext(host, this.#unit, environment, cluster, base);
    this.#grouper = new IncidentGrouper(this.#context);
    this.#deliveries = new DeliveryQueue(this.#context, (...superseded) =>
      this.#scheduler.supersede(...superseded),
    );
    this.#scheduler = new NotificationScheduler(this.#context, this.#grouper, this.#deliveries.isInFlight);
    this.#inbox = new Inbox(host, this.#unit, (message, nowMs) => this.#apply(message, nowMs));
  }

  receive(parcel: MessageBatch): Receipt {
    return this.#inbox.receive(parcel);
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
      const key = this.#keyFor(filter);
      if (key === undefined) return { items: [], next_cursor: null };
      const found = this.#context.notifications.list(filter, key, placeOf(cursor), limit + 1);
      return page(
        found.map(({ number, notification }) => ({ number, item: notification })),
        limit,
      );
    });
  }

  /** Newest first. */
  incidents({ status }: IncidentFilter, limit: number, cursor: string | null): Page<Incident> {
    return this.#unit.read((nowMs) => {
      const found = this.#context.incidents.list(status ?? null, nowMs, placeOf(cursor), limit + 1);
      return page(
        found.map(({ number, incident }) => ({
          number,
          item: incidentView(incident, this.#context.incidents.entriesOf(incident.id), {
            cluster: this.#context.cluster,
            calmMs: this.#context.times.groupIntervalMs,
            nowMs,
          }),
        })),
        limit,
      );
    });
  }

  /** Sends a message once more. Resolves when that try is over. */
  async redeliver(id: string): Promise<Outcome<Notification>> {
    const started = this.#deliveries.redeliver(id);
    return started.ok ? ok(await started.value) : started;
  }

  /** Sends a test through every channel that is asked for, and resolves when each try is over. */
  async test(): Promise<Outcome<NotificationTestResult[]>> {
    const started = this.#unit.commit((nowMs): Outcome<Promise<Notification>[]> => {
      if (this.#deliveries.isTesting) {
        return refuse("invalid_transition", "another test or redelivery is under way; wait for its answer");
      }
      const { notification_types } = this.#context.config.failure_notification;
      return ok(notification_types.map((channel) => this.#deliveries.send(this.#postTest(channel, nowMs))));
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

  #postTest(channel: ChannelName, nowMs: number): string {
    const { cluster } = this.#context;
    const incident = opened(`test-${this.#host.randomId()}`, nowMs, "info");
    const summary = `test message from cluster ${cluster}`;
    const shown = incidentView(incident, [], { cluster, calmMs: 0, nowMs });
    // Nothing is wrong: whoever keeps alerts open by their status closes this one.
    const view: Incident = { ...shown, summary, resolved_at: shown.opened_at };
    return this.#scheduler.post(channel, { kind: "test", subject: summary, incidents: [view] }, nowMs);
  }

  #apply(message: OutboxMessage, nowMs: number): string | null {
    switch (message.type) {
      case "configure_notifier":
        this.#context.configure(message);
        return null;
      case "failure_recorded":
        if (message.stage === "recorded") this.#grouper.failureNoted(message.failure, message.about, nowMs);
        else this.#grouper.failoverDone(message.failure, message.moved ?? [], nowMs);
        return null;
      case "agent_recovered":
        this.#grouper.recovered(agentKey(message.agentId), message.by, message.atMs, nowMs);
        return null;
      case "task_settled":
        this.#grouper.recovered(taskKey(message.taskId), "task_ended", message.atMs, nowMs);
        return null;
      default:
        return `a notifier knows no message "${message.type}"`;
    }
  }

  /** The incident that a filter asks for: null for any, undefined if there is none. */
  #keyFor({ dedup_key, failure_id }: NotificationFilter): string | null | undefined {
    if (failure_id === undefined) return dedup_key ?? null;
    const covering = this.#context.incidents.covering(failure_id);
    const key = covering === null ? undefined : dedupKeyOf(this.#context.cluster, covering.incidentId);
    return dedup_key === undefined || dedup_key === key ? key : undefined;
  }
}

const placeOf = (cursor: string | null) => (cursor === null ? null : Number(cursor));

function page<Item>(found: { number: number; item: Item }[], limit: number): Page<Item> {
  const items = found.slice(0, limit);
  return {
    items: items.map(({ item }) => item),
    next_cursor: found.length > limit ? String(items.at(-1)?.number) : null,
  };
}
