/** The incidents that are not closed, with what each channel was last sent. Mirrored in memory and written through. */
import type { ChannelName } from "../../contract/notification.ts";
import type { IncidentRecord } from "../../domain/incident/incident.ts";
import type { LastSent } from "../../domain/incident/notification-timing.ts";
import type { NotifierContext } from "./notifier-context.ts";

export class OpenIncidents {
  readonly #context: Pick<NotifierContext, "incidents" | "lastSent">;
  /** Oldest first. */
  #incidents = new Map<string, IncidentRecord>();
  #lastSent = new Map<string, Map<ChannelName, LastSent>>();

  constructor(context: Pick<NotifierContext, "incidents" | "lastSent">) {
    this.#context = context;
  }

  load(): void {
    const { incidents, lastSent } = this.#context;
    this.#incidents = new Map(incidents.open().map((incident) => [incident.id, incident]));
    this.#lastSent = new Map([...this.#incidents.keys()].map((id) => [id, lastSent.of(id)]));
  }

  /** Oldest first. */
  all(): IncidentRecord[] {
    return [...this.#incidents.values()];
  }

  find(incidentId: string): IncidentRecord | undefined {
    return this.#incidents.get(incidentId);
  }

  newest(): IncidentRecord | undefined {
    return this.all().at(-1);
  }

  get count(): number {
    return this.#incidents.size;
  }

  save(incident: IncidentRecord): void {
    this.#context.incidents.save(incident);
    this.#incidents.set(incident.id, incident);
    if (!this.#lastSent.has(incident.id)) this.#lastSent.set(incident.id, new Map());
  }

  /** Failures that follow start a new incident. */
  close(incident: IncidentRecord, nowMs: number): void {
    this.#context.incidents.save({ ...incident, closedAtMs: nowMs });
    this.#incidents.delete(incident.id);
    this.#lastSent.delete(incident.id);
    this.#context.incidents.prune();
  }

  /** Whether any channel was sent a message about the incident. */
  isSent(incidentId: string): boolean {
    return (this.#lastSent.get(incidentId)?.size ?? 0) > 0;
  }

  lastSent(incidentId: string, channel: ChannelName): LastSent | null {
    return this.#lastSent.get(incidentId)?.get(channel) ?? null;
  }

  recordSent(incidentId: string, channel: ChannelName, record: LastSent): void {
    this.#context.lastSent.save(incidentId, channel, record);
    this.#lastSent.get(incidentId)?.set(channel, record);
  }

  /** A message about the incident was given up: the channel is due again. @returns whether the incident is open */
  recordUndelivered(incidentId: string, channel: ChannelName): boolean {
    const record = this.lastSent(incidentId, channel);
    if (record === null) return false;
    this.recordSent(incidentId, channel, {
      ...record,
      atMs: 0,
      changes: -1,
      messages: record.messages - 1,
    });
    return true;
  }
}
