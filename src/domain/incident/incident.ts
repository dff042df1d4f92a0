/**
 * An incident: failures that came together and all that follows from them, notified under one key. Pure. Times are
 * milliseconds since the epoch.
 *
 *   firing --every entry has recovered--> resolved --every channel was sent that, and no new failure--> closed
 *     ^                                       '
 *     '------- one of its entries fails ------'
 *
 * The record has what the schedule of notifications needs; the entries are stored beside it (see incident-entry.ts).
 */
import { mostSevere, type Severity } from "../../contract/failure.ts";
import type { IncidentStatus } from "../../contract/incident.ts";
import { type EntryRecord, isFlapping, recoveredFromMs } from "./incident-entry.ts";

export type IncidentRecord = {
  readonly id: string;
  readonly openedAtMs: number;
  readonly updatedAtMs: number;
  /** The latest failure that joined it. */
  readonly lastFailureAtMs: number;
  readonly severity: Severity;
  /** Recorded failures that the incident covers. */
  readonly failures: number;
  /** Grows with each change that causes another message. */
  readonly changes: number;
  readonly entries: number;
  /** Entries that have not recovered. */
  readonly openEntries: number;
  /** From when on all recoveries so far count; 0 before the first. */
  readonly calmAtMs: number;
  readonly isFlapping: boolean;
  readonly closedAtMs: number | null;
};

export function opened(id: string, nowMs: number, severity: Severity): IncidentRecord {
  return {
    id,
    openedAtMs: nowMs,
    updatedAtMs: nowMs,
    lastFailureAtMs: nowMs,
    severity,
    failures: 0,
    changes: 0,
    entries: 0,
    openEntries: 0,
    calmAtMs: 0,
    isFlapping: false,
    closedAtMs: null,
  };
}

/** An entry as it was, null if it is new, and as it is now. */
export type EntryChange = { readonly before: EntryRecord | null; readonly after: EntryRecord };

/** A failure joined the incident: as a new entry, as another failure of an entry, or as a consequence of one. */
export function withFailure(incident: IncidentRecord, change: EntryChange, nowMs: number): IncidentRecord {
  const next = withEntry(incident, { ...change, calmMs: 0 }, nowMs);
  return {
    ...next,
    lastFailureAtMs: nowMs,
    severity: mostSevere(incident.severity, change.after.severity),
    failures: incident.failures + 1,
    changes: incident.changes + 1,
  };
}

/** A failure that is counted without an entry: there are too many entries to keep each. */
export function withCountedFailure(
  incident: IncidentRecord,
  severity: Severity,
  nowMs: number,
): IncidentRecord {
  return {
    ...incident,
    updatedAtMs: nowMs,
    lastFailureAtMs: nowMs,
    severity: mostSevere(incident.severity, severity),
    failures: incident.failures + 1,
    changes: incident.changes + 1,
  };
}

/** The failover of an entry is done: that causes a message. */
export function withOutcome(incident: IncidentRecord, nowMs: number): IncidentRecord {
  return { ...incident, updatedAtMs: nowMs, changes: incident.changes + 1 };
}

/**
 * An entry recovered. That alone causes no message: only the end of the incident does.
 * @param change with how long a flapping entry has to stay up before its recovery counts
 */
export function withEntry(
  incident: IncidentRecord,
  { before, after, calmMs }: EntryChange & { readonly calmMs: number },
  nowMs: number,
): IncidentRecord {
  const opens = (isOpen(after) ? 1 : 0) - (before !== null && isOpen(before) ? 1 : 0);
  return {
    ...incident,
    updatedAtMs: nowMs,
    entries: incident.entries + (before === null ? 1 : 0),
    openEntries: incident.openEntries + opens,
    calmAtMs: Math.max(incident.calmAtMs, recoveredFromMs(after, calmMs) ?? 0),
    isFlapping: incident.isFlapping || isFlapping(after),
  };
}

const isOpen = (entry: EntryRecord) => entry.endedAtMs === null;

/** When the incident was resolved, or will be if nothing else fails; null while an entry has not recovered. */
export function resolvedFromMs(incident: IncidentRecord): number | null {
  return incident.openEntries === 0 ? incident.calmAtMs : null;
}

export function statusAt(incident: IncidentRecord, nowMs: number): IncidentStatus {
  const fromMs = resolvedFromMs(incident);
  return fromMs !== null && fromMs <= nowMs ? "resolved" : "firing";
}
