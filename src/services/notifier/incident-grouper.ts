/**
 * The incidents of a cluster: which one a failure joins, and what became of those in it. Open
 * incidents are mirrored in memory and written through.
 */
import { type Failure, isAtLeast } from "../../contract/failure.ts";
import type { TaskMove } from "../../contract/incident.ts";
import type { ChannelName } from "../../contract/notification.ts";
import {
  type IncidentRecord,
  opened,
  withCountedFailure,
  withEntry,
  withFailure,
  withOutcome,
} from "../../domain/incident/incident.ts";
import type { FailureSubject } from "../../domain/incident/incident-entry.ts";
import {
  type EntryEnding,
  type EntryRecord,
  ended,
  entryKey,
  entryOf,
  failedAgain,
  withFailover,
  withStranded,
} from "../../domain/incident/incident-entry.ts";
import {
  gatheringUntilMs,
  type LastSent,
  rejoinsUntilMs,
} from "../../domain/incident/notification-timing.ts";
import type { NotifierContext } from "./notifier-context.ts";

/** Incidents that are open at a time; beyond it failures join the newest. A digest lists them all. */
const OPEN_LIMIT = 50;

/** Entries of one incident: as many as a cluster has agents. Beyond it failures are only counted. */
const ENTRY_LIMIT = 20_000;

/** An agent that was not heard of for this long does not come back: its entry ends by itself. */
const AGENT_EXPIRY_MS = 7 * 86_400_000;

/** Entries that end by themselves in one alarm at most. */
const EXPIRY_SLICE = 200;

export class IncidentGrouper {
  readonly #context: NotifierContext;
  /** Oldest first. */
  #open = new Map<string, IncidentRecord>();
  #tellings = new Map<string, Map<ChannelName, LastSent>>();
  #earliestExpiryMs: number | null = null;

  constructor(context: NotifierContext) {
    this.#context = context;
  }

  load(): void {
    const { incidents } = this.#context;
    this.#open = new Map(incidents.open().map((incident) => [incident.id, incident]));
    this.#tellings = new Map([...this.#open.keys()].map((id) => [id, incidents.lastSentOf(id)]));
    this.#earliestExpiryMs = incidents.earliestExpiryMs();
  }

  /** Those that are not closed, oldest first. */
  open(): IterableIterator<IncidentRecord> {
    return this.#open.values();
  }

  lastSent(incidentId: string, channel: ChannelName): LastSent | null {
    return this.#tellings.get(incidentId)?.get(channel) ?? null;
  }

  nextExpiryMs(): number | null {
    return this.#earliestExpiryMs;
  }

  /** A failure worth telling joins an incident, or opens one. */
  failureNoted(failure: Failure, about: FailureSubject | undefined, nowMs: number): void {
    const { enabled, min_severity } = this.#context.config.failure_notification;
    if (!enabled || !isAtLeast(failure.severity, min_severity)) return;
    if (about !== undefined && "causedBy" in about && this.#followsFrom(failure, about, nowMs)) return;
    const key = entryKey(failure, about);
    const held = this.#holding(key, nowMs);
    const incident = held?.incident ?? this.#gathering(nowMs) ?? this.#newest(nowMs, failure);
    this.#context.incidents.cover(failure.id, incident.id, key);
    const before = held?.entry ?? null;
    if (before === null && incident.entries >= ENTRY_LIMIT) {
      this.#save(withCountedFailure(incident, failure.severity, nowMs));
      return;
    }
    const after = before === null ? entryOf(failure, about, nowMs) : failedAgain(before, failure, nowMs);
    this.#saveEntry(incident.id, after);
    this.#save(withFailure(incident, { before, after }, nowMs));
  }

  /** @returns whether the failure that it follows from is part of an open incident */
  #followsFrom(
    failure: Failure,
    { causedBy, stranded }: Extract<FailureSubject, { causedBy: string }>,
    nowMs: number,
  ): boolean {
    const cause = this.#coveringEntry(causedBy);
    if (cause === null) return false;
    const { incident, entry } = cause;
    const after = withStranded(entry, failure.severity, stranded);
    this.#context.incidents.cover(failure.id, incident.id, entry.key);
    this.#saveEntry(incident.id, after);
    this.#save(withFailure(incident, { before: entry, after }, nowMs));
    return true;
  }

  /** The failover that a failure caused is done. */
  failoverDone(failure: Failure, moved: readonly TaskMove[], nowMs: number): void {
    const covering = this.#coveringEntry(failure.id);
    if (covering === null) return;
    const { incident, entry } = covering;
    const hadTasks = failure.tasks_reassigned + failure.tasks_pending + failure.tasks_failed > 0;
    this.#saveEntry(incident.id, withFailover(entry, failure, moved));
    if (hadTasks) this.#save(withOutcome(incident, nowMs));
  }

  /** Whoever has that key is back, gone for good, or done with. */
  recovered(key: string, by: EntryEnding, atMs: number, nowMs: number): void {
    for (const id of this.#context.incidents.openWithKey(key)) this.#end(id, key, by, atMs, nowMs);
  }

  /** Ends entries that nobody has heard of for too long. */
  expire(nowMs: number): void {
    if (this.#earliestExpiryMs === null || this.#earliestExpiryMs > nowMs) return;
    for (const { incidentId, entry } of this.#context.incidents.expired(nowMs, EXPIRY_SLICE)) {
      this.#end(incidentId, entry.key, "expired", nowMs, nowMs);
    }
    this.#earliestExpiryMs = this.#context.incidents.earliestExpiryMs();
  }

  recordSent(incidentId: string, channel: ChannelName, telling: LastSent): void {
    this.#context.incidents.saveLastSent(incidentId, channel, telling);
    this.#tellings.get(incidentId)?.set(channel, telling);
  }

  /** A message that told of it did not arrive and is given up: it is to be told again. */
  recordUndelivered(incidentId: string, channel: ChannelName): boolean {
    const telling = this.#tellings.get(incidentId)?.get(channel);
    if (telling === undefined) return false;
    this.recordSent(incidentId, channel, {
      ...telling,
      atMs: 0,
      changes: -1,
      messages: telling.messages - 1,
    });
    return true;
  }

  close(incident: IncidentRecord, nowMs: number): void {
    this.#context.incidents.save({ ...incident, closedAtMs: nowMs });
    this.#open.delete(incident.id);
    this.#tellings.delete(incident.id);
    this.#context.incidents.prune();
  }

  /** The entry of an open incident that a failure made, or made worse. */
  #coveringEntry(failureId: string): { incident: IncidentRecord; entry: EntryRecord } | null {
    const covering = this.#context.incidents.covering(failureId);
    const incident = covering === null ? undefined : this.#open.get(covering.incidentId);
    const entry = covering && this.#context.incidents.entry(covering.incidentId, covering.key);
    return incident === undefined || !entry ? null : { incident, entry };
  }

  /** The open incident in which it is down, or was lately. */
  #holding(key: string, nowMs: number): { incident: IncidentRecord; entry: EntryRecord } | null {
    for (const id of this.#context.incidents.openWithKey(key)) {
      const incident = this.#open.get(id);
      const entry = this.#context.incidents.entry(id, key);
      if (incident === undefined || entry === undefined) continue;
      if (entry.endedAtMs === null || nowMs < rejoinsUntilMs(entry.endedAtMs, this.#context.times)) {
        return { incident, entry };
      }
    }
    return null;
  }

  /** The newest incident, if nobody was told of it and it is still to gather more. */
  #gathering(nowMs: number): IncidentRecord | undefined {
    const newest = [...this.#open.values()].at(-1);
    if (newest === undefined || this.#tellings.get(newest.id)?.size !== 0) return undefined;
    return nowMs < gatheringUntilMs(newest, this.#context.times) ? newest : undefined;
  }

  #newest(nowMs: number, failure: Failure): IncidentRecord {
    const newest = [...this.#open.values()].at(-1);
    if (newest !== undefined && this.#open.size >= OPEN_LIMIT) return newest;
    const incident = opened(this.#context.host.randomId(), nowMs, failure.severity);
    this.#tellings.set(incident.id, new Map());
    return incident;
  }

  #end(incidentId: string, key: string, by: EntryEnding, atMs: number, nowMs: number): void {
    const incident = this.#open.get(incidentId);
    const entry = this.#context.incidents.entry(incidentId, key);
    if (entry === undefined || entry.endedAtMs !== null) return;
    const after = ended(entry, by, atMs);
    this.#saveEntry(incidentId, after);
    if (incident === undefined) return;
    this.#save(
      withEntry(incident, { before: entry, after, calmMs: this.#context.times.groupIntervalMs }, nowMs),
    );
  }

  #save(incident: IncidentRecord): void {
    this.#context.incidents.save(incident);
    this.#open.set(incident.id, incident);
  }

  #saveEntry(incidentId: string, entry: EntryRecord): void {
    const expiresAtMs = entry.endedAtMs === null ? entry.lastFailedAtMs + this.#lastsMs(entry) : null;
    this.#context.incidents.saveEntry(incidentId, entry, expiresAtMs);
    if (expiresAtMs === null) return;
    this.#earliestExpiryMs = Math.min(this.#earliestExpiryMs ?? expiresAtMs, expiresAtMs);
  }

  /** An agent is down until it is back. What failed of a task is news, and news grows old. */
  #lastsMs({ taskId, agentId, failureType }: EntryRecord): number {
    const isOfAgent = taskId === null && agentId !== null && failureType !== "no_suitable_agent";
    return isOfAgent ? AGENT_EXPIRY_MS : this.#context.times.repeatIntervalMs;
  }
}
