/** The state and the collaborators that the parts of a notifier share. The parts act; the context only holds. */
import type { EventDraft } from "../../contract/event.ts";
import type { NotificationConfig } from "../../notifications/channel.ts";
import type { Transports } from "../../notifications/transports.ts";
import { MetaStore } from "../../storage/meta.ts";
import { CoveredFailureStore } from "../../storage/notifier/covered-failures.ts";
import { IncidentEntryStore } from "../../storage/notifier/incident-entries.ts";
import { IncidentStore } from "../../storage/notifier/incidents.ts";
import { LastSentStore } from "../../storage/notifier/last-sent.ts";
import { NotificationStore } from "../../storage/notifier/notifications.ts";
import type { Host } from "../host.ts";
import { Outbox } from "../outbox.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import { NotifierSettings } from "./notifier-settings.ts";

/** What a notifier needs of its surroundings besides what every service needs. */
export interface NotifierEnvironment {
  readonly transports: Transports;
  /** The value of a secret by its name; null if there is no such secret, or none that may be sent. */
  secret(name: string): string | null;
  /** Whether http and local addresses may be reached. */
  readonly allowLocalTargets: boolean;
  /** The address of this deployment, or null if it is not known. */
  readonly publicUrl: string | null;
}

/** @property base the configuration that holds until the coordinator has sent one */
export type NotifierSetup = { environment: NotifierEnvironment; cluster: string; base: NotificationConfig };

export class NotifierContext {
  readonly cluster: string;
  readonly host: Host;
  readonly unit: UnitOfWork;
  readonly environment: NotifierEnvironment;
  readonly meta: MetaStore;
  readonly settings: NotifierSettings;
  readonly incidents: IncidentStore;
  readonly entries: IncidentEntryStore;
  readonly coveredFailures: CoveredFailureStore;
  readonly lastSent: LastSentStore;
  readonly notifications: NotificationStore;
  readonly outbox: Outbox;

  constructor(host: Host, unit: UnitOfWork, { environment, cluster, base }: NotifierSetup) {
    this.cluster = cluster;
    this.host = host;
    this.unit = unit;
    this.environment = environment;
    this.meta = new MetaStore(host.sql);
    this.settings = new NotifierSettings(this.meta, base);
    this.incidents = new IncidentStore(host.sql);
    this.entries = new IncidentEntryStore(host.sql);
    this.coveredFailures = new CoveredFailureStore(host.sql);
    this.lastSent = new LastSentStore(host.sql);
    this.notifications = new NotificationStore(host.sql);
    this.outbox = new Outbox({ host, unit, meta: this.meta }, ({ receiver, messageType, reason }) => {
      // There is no event about it: the coordinator, which has the event log, is what refuses messages.
      host.log.line("error", "message_dead_lettered", { receiver, message_type: messageType, reason });
    });
  }

  load(): void {
    if (this.meta.read("stream_id") === null) this.meta.write("stream_id", this.host.randomId());
    this.settings.load();
    this.outbox.load();
  }

  /** Adds an event to the cluster's event log, in the present transaction. */
  recordEvent(event: EventDraft, nowMs: number): void {
    this.outbox.send("coordinator", { type: "events_recorded", atMs: nowMs, events: [event] });
  }
}
