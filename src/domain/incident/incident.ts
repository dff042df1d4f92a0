/**
 * An incident: failures that came together and all that follows from them, told under one key.
 * Pure: times come in as milliseconds since the epoch.
 *
 *   firing --nobody in it is down any more--> resolved --told everywhere, and calm--> closed
 *     ^                                          '
 *     '-------- one of its entries fails --------'
 *
 * The record holds what planning needs; the entries are beside it (see entry.ts).
 */
import type { Severity } from "../../contract/failure.ts";
import type { IncidentStatus } from "../../contract/incident.ts";
import { mostSevere } from "../severity.ts";
import { type EntryRecord, isFlapper, recoveredFromMs } from "./incident-entry.ts";

export type IncidentRecord = {
  readonly id: string;
  readonly openedAtMs: number;
  readonly updatedAtMs: number;
  /** The latest failure that joined it. */
  readonly lastFailureAtMs: number;
  readonly severity: Severity;
  /** Failures on record that it covers. */
  readonly failures: number;
  /** Grows with everything that is worth another message. */
  readonly changes: number;
  readonly entries: number;
  /** Entries that have not recovered. */
  readonly openEntries: number;
  /** From when on every recovery so far counts; 0 before the first. */
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

/** A failure joined the incident: as a new entry, as another failure of one, or as what follows from one. */
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

/** A failure that is counted without an entry: there are too many to keep each. */
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

/** What became of an entry's tasks is known: worth a message of its own. */
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
    isFlapping: incident.isFlapping || isFlapper(after),
  };
}

const isOpen = (entry: EntryRecord) => entry.endedAtMs === null;

/** When it was resolved, or will be if nothing else fails; null while somebody is down. */
export function resolvedFromMs(incident: IncidentRecord): number | null {
  return incident.openEntries === 0 ? incident.calmAtMs : null;
}

export function statusAt(incident: IncidentRecord, nowMs: number): IncidentStatus {
  const fromMs = resolvedFromMs(incident);
  return fromMs !== null && fromMs <= nowMs ? "resolved" : "firing";
}
