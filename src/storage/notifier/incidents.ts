/** Incidents, their entries, and what each channel was told of them. Bounded. */
import type { IncidentStatus } from "../../contract/incident.ts";
import type { ChannelName } from "../../contract/notification.ts";
import type { IncidentRecord } from "../../domain/incident/incident.ts";
import type { EntryRecord } from "../../domain/incident/incident-entry.ts";
import type { LastSent } from "../../domain/incident/notification-timing.ts";
import { first, type Sql, twice } from "../sql.ts";

/** Incidents kept after they are closed; the oldest go first. */
const CLOSED_KEPT = 500;

/** Entries of closed incidents kept in all. */
const CLOSED_ENTRIES_KEPT = 100_000;

/** Failures whose incident is known: twice as many as the coordinator keeps. */
const COVERED_KEPT = 20_000;

export type NumberedIncident = { number: number; incident: IncidentRecord };

export class IncidentStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Those that are not closed, oldest first. */
  open(): IncidentRecord[] {
    return this.#sql
      .all<{ record: string }>("SELECT record FROM incidents WHERE closed_at IS NULL ORDER BY number")
      .map((row) => JSON.parse(row.record) as IncidentRecord);
  }

  save(incident: IncidentRecord): void {
    this.#sql.all(
      `INSERT INTO incidents (id, closed_at, record) VALUES (?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET closed_at = excluded.closed_at, record = excluded.record`,
      incident.id,
      incident.closedAtMs,
      JSON.stringify(incident),
    );
  }

  /** Newest first, behind a place in the list. @param status as it is at `nowMs`, null for any */
  list(
    status: IncidentStatus | null,
    nowMs: number,
    beforeNumber: number | null,
    limit: number,
  ): NumberedIncident[] {
    return this.#sql
      .all<{ number: number; record: string }>(
        `SELECT number, record FROM incidents
         WHERE number < ? AND (? IS NULL OR ? = CASE
           WHEN record ->> '$.openEntries' > 0 OR record ->> '$.calmAtMs' > ? THEN 'firing' ELSE 'resolved' END)
         ORDER BY number DESC LIMIT ?`,
        beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(status),
        nowMs,
        limit,
      )
      .map((row) => ({ number: row.number, incident: JSON.parse(row.record) as IncidentRecord }));
  }

  /** Drops closed incidents beyond those kept, with all that belongs to them. */
  prune(): void {
    const surplus = this.#sql.all<{ id: string }>(
      `SELECT id FROM (
         SELECT id, row_number() OVER newest AS place, sum(record ->> '$.entries') OVER newest AS entries
         FROM incidents WHERE closed_at IS NOT NULL WINDOW newest AS (ORDER BY number DESC))
       WHERE place > ${CLOSED_KEPT} OR (entries > ${CLOSED_ENTRIES_KEPT} AND place > 1)`,
    );
    for (const { id } of surplus) {
      this.#sql.all("DELETE FROM incident_entries WHERE incident_id = ?", id);
      this.#sql.all("DELETE FROM covered_failures WHERE incident_id = ?", id);
      this.#sql.all("DELETE FROM last_sent WHERE incident_id = ?", id);
      this.#sql.all("DELETE FROM incidents WHERE id = ?", id);
    }
  }

  // Entries

  entry(incidentId: string, key: string): EntryRecord | undefined {
    const row = first<{ entry: string }>(
      this.#sql,
      "SELECT entry FROM incident_entries WHERE incident_id = ? AND key = ?",
      incidentId,
      key,
    );
    return row === undefined ? undefined : (JSON.parse(row.entry) as EntryRecord);
  }

  /** The incidents that are not closed and hold an entry of that key, newest first. */
  openWithKey(key: string): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT incidents.id AS id FROM incident_entries
         JOIN incidents ON incidents.id = incident_entries.incident_id
         WHERE incident_entries.key = ? AND incidents.closed_at IS NULL ORDER BY incidents.number DESC`,
        key,
      )
      .map((row) => row.id);
  }

  /** @param expiresAtMs when it counts as over by itself; null if it has ended */
  saveEntry(incidentId: string, entry: EntryRecord, expiresAtMs: number | null): void {
    this.#sql.all(
      `INSERT INTO incident_entries (incident_id, key, expires_at, entry) VALUES (?, ?, ?, ?)
       ON CONFLICT (incident_id, key) DO UPDATE SET expires_at = excluded.expires_at, entry = excluded.entry`,
      incidentId,
      entry.key,
      expiresAtMs,
      JSON.stringify(entry),
    );
  }

  entriesOf(incidentId: string): EntryRecord[] {
    return this.#sql
      .all<{ entry: string }>("SELECT entry FROM incident_entries WHERE incident_id = ?", incidentId)
      .map((row) => JSON.parse(row.entry) as EntryRecord);
  }

  earliestExpiryMs(): number | null {
    return (
      first<{ atMs: number | null }>(
        this.#sql,
        "SELECT min(expires_at) AS atMs FROM incident_entries WHERE expires_at IS NOT NULL",
      )?.atMs ?? null
    );
  }

  expired(nowMs: number, limit: number): { incidentId: string; entry: EntryRecord }[] {
    return this.#sql
      .all<{ incidentId: string; entry: string }>(
        `SELECT incident_id AS incidentId, entry FROM incident_entries
         WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
        nowMs,
        limit,
      )
      .map((row) => ({ incidentId: row.incidentId, entry: JSON.parse(row.entry) as EntryRecord }));
  }

  // Failures

  cover(failureId: string, incidentId: string, key: string): void {
    this.#sql.all(
      "INSERT OR REPLACE INTO covered_failures (failure_id, incident_id, key) VALUES (?, ?, ?)",
      failureId,
      incidentId,
      key,
    );
    this.#sql.all(
      "DELETE FROM covered_failures WHERE number <= (SELECT max(number) FROM covered_failures) - ?",
      COVERED_KEPT,
    );
  }

  covering(failureId: string): { incidentId: string; key: string } | null {
    return (
      first<{ incidentId: string; key: string }>(
        this.#sql,
        "SELECT incident_id AS incidentId, key FROM covered_failures WHERE failure_id = ?",
        failureId,
      ) ?? null
    );
  }

  // What each channel was last sent

  lastSentOf(incidentId: string): Map<ChannelName, LastSent> {
    const rows = this.#sql.all<{ channel: string; record: string }>(
      "SELECT channel, record FROM last_sent WHERE incident_id = ?",
      incidentId,
    );
    return new Map(rows.map((row) => [row.channel as ChannelName, JSON.parse(row.record) as LastSent]));
  }

  saveLastSent(incidentId: string, channel: ChannelName, record: LastSent): void {
    this.#sql.all(
      `INSERT INTO last_sent (incident_id, channel, record) VALUES (?, ?, ?)
       ON CONFLICT (incident_id, channel) DO UPDATE SET record = excluded.record`,
      incidentId,
      channel,
      JSON.stringify(record),
    );
  }
}
