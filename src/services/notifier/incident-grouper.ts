/** Groups failures: which incident a failure joins, and how the entries of incidents end. */
import { type Failure, isAtLeast, mostSevere } from "../../contract/failure.ts";
import type { TaskMove } from "../../contract/incident.ts";
import {
  type IncidentRecord,
  opened,
  withCountedFailure,
  withEntry,
  withFailure,
  withOutcome,
} from "../../domain/incident/incident.ts";
import {
  corrected,
  type EntryEnding,
  type EntryRecord,
  ended,
  entryKey,
  entryOf,
  type FailureSubject,
  failedAgain,
  queueKey,
  withFailover,
  withStranded,
} from "../../domain/incident/incident-entry.ts";
import { gatheringUntilMs, rejoinsUntilMs } from "../../domain/incident/notification-timing.ts";
import type { NotifierContext } from "./notifier-context.ts";
import type { OpenIncidents } from "./open-incidents.ts";

/** Incidents that are open at a time; beyond these, failures join the newest. One digest can list them all. */
const OPEN_LIMIT = 50;

/** Entries of one incident: as many as a cluster has agents. Beyond these, failures are only counted. */
const ENTRY_LIMIT = 20_000;

/** An agent without a sign of life for this long does not return: its entry ends by itself, like that of a queue. */
const LONGEST_ENTRY_MS = 7 * 86_400_000;

/** Entries that end by themselves in one alarm at most. */
const EXPIRY_SLICE = 200;

type Needs = Pick<NotifierContext, "coveredFailures" | "entries" | "host" | "settings">;

/** How an entry ends, and when that happened. */
type Ending = { by: EntryEnding; atMs: number };

/** An entry of an open incident. */
type OpenEntry = { incident: IncidentRecord; entry: EntryRecord };

export class IncidentGrouper {
  readonly #context: Needs;
  readonly #open: OpenIncidents;
  #earliestExpiryMs: number | null = null;

  constructor(context: Needs, open: OpenIncidents) {
    this.#context = context;
    this.#open = open;
  }

  load(): void {
    this.#earliestExpiryMs = this.#context.entries.earliestExpiryMs();
  }

  nextExpiryMs(): number | null {
    return this.#earliestExpiryMs;
  }

  /** A failure that is severe enough joins an incident, or opens one. */
  failureRecorded(failure: Failure, about: FailureSubject | undefined, nowMs: number): void {
    const { enabled, min_severity } = this.#context.settings.config.failure_notification;
    if (!enabled || !isAtLeast(failure.severity, min_severity)) return;
    if (about !== undefined && "causedBy" in about && this.#joinCause(failure, about, nowMs)) return;
    const key = entryKey(failure, about);
    const known = this.#recentEntry(key, nowMs);
    const incident = known?.incident ?? this.#gathering(nowMs) ?? this.#newIncident(failure, nowMs);
    this.#context.coveredFailures.save(failure.id, { incidentId: incident.id, key });
    const before = known?.entry ?? null;
    if (before === null && incident.entries >= ENTRY_LIMIT) {
      this.#open.save(withCountedFailure(incident, failure.severity, nowMs));
      return;
    }
    const after = before === null ? entryOf(failure, about, nowMs) : failedAgain(before, failure, nowMs);
    this.#saveEntry(incident.id, after);
    this.#open.save(withFailure(incident, { before, after }, nowMs));
  }

  /** A recorded failure turned out to be another one. */
  failureCorrected(failure: Failure, nowMs: number): void {
    const covering = this.#coveringEntry(failure.id);
    if (covering === null) {
      this.failureRecorded(failure, undefined, nowMs);
      return;
    }
    const { incident, entry } = covering;
    if (entry.failureId !== failure.id) return;
    this.#saveEntry(incident.id, corrected(entry, failure));
    this.#open.save(
      withOutcome({ ...incident, severity: mostSevere(incident.severity, failure.severity) }, nowMs),
    );
  }

  /** The failover that a failure caused is done. */
  failoverDone(failure: Failure, moved: readonly TaskMove[], nowMs: number): void {
    const covering = this.#coveringEntry(failure.id);
    if (covering === null) return;
    const { incident, entry } = covering;
    const hadTasks = failure.tasks_reassigned + failure.tasks_pending + failure.tasks_failed > 0;
    this.#saveEntry(incident.id, withFailover(entry, failure, moved));
    if (hadTasks) this.#open.save(withOutcome(incident, nowMs));
  }

  /** The agent or task with this key is back, gone for good, or done. */
  recovered(key: string, ending: Ending, nowMs: number): void {
    for (const incidentId of this.#context.entries.openIncidentsWith(key)) {
      this.#end({ incidentId, key }, ending, nowMs);
    }
  }

  /** Ends entries whose agent gave no sign of life for too long, and those of tasks after a while. */
  expire(nowMs: number): void {
    if (this.#earliestExpiryMs === null || this.#earliestExpiryMs > nowMs) return;
    for (const expired of this.#context.entries.expired(nowMs, EXPIRY_SLICE)) {
      this.#end(expired, { by: "expired", atMs: nowMs }, nowMs);
    }
    this.#earliestExpiryMs = this.#context.entries.earliestExpiryMs();
  }

  /** @returns whether the failure that caused this one is part of an open incident */
  #joinCause(
    failure: Failure,
    { causedBy, stranded }: Extract<FailureSubject, { causedBy: string }>,
    nowMs: number,
  ): boolean {
    const cause = this.#coveringEntry(causedBy);
    if (cause === null) return false;
    const { incident, entry } = cause;
    const after = withStranded(entry, failure.severity, stranded);
    this.#context.coveredFailures.save(failure.id, { incidentId: incident.id, key: entry.key });
    this.#saveEntry(incident.id, after);
    this.#open.save(withFailure(incident, { before: entry, after }, nowMs));
    return true;
  }

  /** The entry of an open incident that covers a failure. */
  #coveringEntry(failureId: string): OpenEntry | null {
    const covering = this.#context.coveredFailures.find(failureId);
    if (covering === undefined) return null;
    const incident = this.#open.find(covering.incidentId);
    const entry = this.#context.entries.find(covering.incidentId, covering.key);
    return incident === undefined || entry === undefined ? null : { incident, entry };
  }

  /** The entry with this key that has not recovered, or recovered a short while ago. */
  #recentEntry(key: string, nowMs: number): OpenEntry | null {
    for (const incidentId of this.#context.entries.openIncidentsWith(key)) {
      const incident = this.#open.find(incidentId);
      const entry = this.#context.entries.find(incidentId, key);
      if (incident === undefined || entry === undefined) continue;
      const isRecent =
        entry.endedAtMs === null || nowMs < rejoinsUntilMs(entry.endedAtMs, this.#context.settings.times);
      if (isRecent) return { incident, entry };
    }
    return null;
  }

  /** The newest incident, while it still gathers failures and no channel was sent a message about it. */
  #gathering(nowMs: number): IncidentRecord | undefined {
    const newest = this.#open.newest();
    if (newest === undefined || this.#open.isSent(newest.id)) return undefined;
    return nowMs < gatheringUntilMs(newest, this.#context.settings.times) ? newest : undefined;
  }

  /** A new incident, or the newest one if there are too many. */
  #newIncident(failure: Failure, nowMs: number): IncidentRecord {
    const newest = this.#open.newest();
    if (newest !== undefined && this.#open.count >= OPEN_LIMIT) return newest;
    return opened(this.#context.host.randomId(), nowMs, failure.severity);
  }

  #end({ incidentId, key }: { incidentId: string; key: string }, { by, atMs }: Ending, nowMs: number): void {
    const entry = this.#context.entries.find(incidentId, key);
    if (entry === undefined || entry.endedAtMs !== null) return;
    const after = ended(entry, by, atMs);
    this.#saveEntry(incidentId, after);
    const incident = this.#open.find(incidentId);
    if (incident === undefined) return;
    const calmMs = this.#context.settings.times.groupIntervalMs;
    this.#open.save(withEntry(incident, { before: entry, after, calmMs }, nowMs));
  }

  #saveEntry(incidentId: string, entry: EntryRecord): void {
    const expiresAtMs = entry.endedAtMs === null ? entry.lastFailedAtMs + this.#lastsMs(entry) : null;
    this.#context.entries.save(incidentId, entry, expiresAtMs);
    if (expiresAtMs === null) return;
    this.#earliestExpiryMs = Math.min(this.#earliestExpiryMs ?? expiresAtMs, expiresAtMs);
  }

  /**
   * An agent is inactive until it returns, and a queue waits until it is served. A failure of a task is news, which is out
   * of date after a while.
   */
  #lastsMs({ key, taskId, agentId, failureType }: EntryRecord): number {
    const isOfAgent = taskId === null && agentId !== null && failureType !== "no_suitable_agent";
    const lasts = isOfAgent || key.startsWith(queueKey(""));
    return lasts ? LONGEST_ENTRY_MS : this.#context.settings.times.repeatIntervalMs;
  }
}
