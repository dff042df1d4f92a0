/** Incidents, each as one JSON record. Bounded. */
import type { IncidentStatus } from "../../contract/incident.ts";
import type { IncidentRecord } from "../../domain/incident/incident.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { type Sql, twice } from "../sql.ts";

/** Incidents kept after they are closed; the oldest go first. */
const CLOSED_KEPT = 500;

/** Entries of closed incidents kept in all. */
const CLOSED_ENTRIES_KEPT = 100_000;

/** What belongs to an incident and is removed with it. */
const TABLES_OF_AN_INCIDENT = ["incident_entries", "covered_failures", "last_sent"];

export type NumberedIncident = { number: number; incident: IncidentRecord };

/** The status as it is at that instant; null for any. */
export type IncidentSearch = { status: IncidentStatus | null; nowMs: number };

export class IncidentStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Incidents that are not closed, oldest first. */
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

  /** Newest first, behind a number. */
  list(
    { status, nowMs }: IncidentSearch,
    beforeNumber: number | null,
    limit: number,
  ): Slice<NumberedIncident> {
    const found = readSlice<{ number: number; record: string }>(limit, (count, last) =>
      this.#sql.all(
        `SELECT number, record FROM incidents
         WHERE number < ? AND (? IS NULL OR ? = CASE
           WHEN record ->> '$.openEntries' > 0 OR record ->> '$.calmAtMs' > ? THEN 'firing' ELSE 'resolved' END)
         ORDER BY number DESC LIMIT ?`,
        last?.number ?? beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(status),
        nowMs,
        count,
      ),
    );
    return mapSlice(found, ({ number, record }) => ({
      number,
      incident: JSON.parse(record) as IncidentRecord,
    }));
  }

  /** Removes closed incidents beyond those kept, with everything that belongs to them. */
  prune(): void {
    const surplus = this.#sql.all<{ id: string }>(
      `SELECT id FROM (
         SELECT id, row_number() OVER newest AS place, sum(record ->> '$.entries') OVER newest AS entries
         FROM incidents WHERE closed_at IS NOT NULL WINDOW newest AS (ORDER BY number DESC))
       WHERE place > ${CLOSED_KEPT} OR (entries > ${CLOSED_ENTRIES_KEPT} AND place > 1)`,
    );
    for (const { id } of surplus) {
      for (const table of TABLES_OF_AN_INCIDENT) {
        this.#sql.all(`DELETE FROM ${table} WHERE incident_id = ?`, id);
      }
      this.#sql.all("DELETE FROM incidents WHERE id = ?", id);
    }
  }
}
