/** The agents and tasks that failed in each incident, each as one JSON record. */
import type { EntryRecord } from "../../domain/incident/incident-entry.ts";
import { first, type Sql } from "../sql.ts";

export class IncidentEntryStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  find(incidentId: string, key: string): EntryRecord | undefined {
    const row = first<{ entry: string }>(
      this.#sql,
      "SELECT entry FROM incident_entries WHERE incident_id = ? AND key = ?",
      incidentId,
      key,
    );
    return row && (JSON.parse(row.entry) as EntryRecord);
  }

  of(incidentId: string): EntryRecord[] {
    return this.#sql
      .all<{ entry: string }>("SELECT entry FROM incident_entries WHERE incident_id = ?", incidentId)
      .map((row) => JSON.parse(row.entry) as EntryRecord);
  }

  /** The incidents that are not closed and have an entry with this key, newest first. */
  openIncidentsWith(key: string): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT incidents.id AS id FROM incident_entries
         JOIN incidents ON incidents.id = incident_entries.incident_id
         WHERE incident_entries.key = ? AND incidents.closed_at IS NULL ORDER BY incidents.number DESC`,
        key,
      )
      .map((row) => row.id);
  }

  /** @param expiresAtMs when the entry ends by itself; null if it has recovered */
  save(incidentId: string, entry: EntryRecord, expiresAtMs: number | null): void {
    this.#sql.all(
      `INSERT INTO incident_entries (incident_id, key, expires_at, entry) VALUES (?, ?, ?, ?)
       ON CONFLICT (incident_id, key) DO UPDATE SET expires_at = excluded.expires_at, entry = excluded.entry`,
      incidentId,
      entry.key,
      expiresAtMs,
      JSON.stringify(entry),
    );
  }

  earliestExpiryMs(): number | null {
    const earliest = "SELECT min(expires_at) AS at FROM incident_entries WHERE expires_at IS NOT NULL";
    return first<{ at: number | null }>(this.#sql, earliest)?.at ?? null;
  }

  expired(nowMs: number, limit: number): { incidentId: string; key: string }[] {
    return this.#sql.all(
      `SELECT incident_id AS incidentId, key FROM incident_entries
       WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`,
      nowMs,
      limit,
    );
  }
}
