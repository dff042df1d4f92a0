/** The event log, bounded. */
import type { Event, EventDraft } from "../../contract/event.ts";
import { first, type Sql } from "../sql.ts";

/** Events kept; a stream that resumes behind them has missed some. */
const EVENTS_KEPT = 20_000;

export class EventStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  append(draft: EventDraft, at: string): void {
    const row = first<{ id: number }>(
      this.#sql,
      "INSERT INTO events (event) VALUES (?) RETURNING id",
      JSON.stringify({ at, ...draft }),
    );
    this.#sql.all("DELETE FROM events WHERE id <= ?", (row?.id ?? 0) - EVENTS_KEPT);
  }

  lastId(): number {
    return first<{ id: number | null }>(this.#sql, "SELECT max(id) AS id FROM events")?.id ?? 0;
  }

  after(id: number, limit: number): Event[] {
    return this.#sql
      .all<{ id: number; event: string }>(
        "SELECT id, event FROM events WHERE id > ? ORDER BY id LIMIT ?",
        id,
        limit,
      )
      .map((row) => ({ id: row.id, ...(JSON.parse(row.event) as Omit<Event, "id">) }));
  }
}
