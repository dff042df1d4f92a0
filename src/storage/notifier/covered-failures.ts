/** The incident, and the entry in it, that covers each failure. Bounded. */
import { first, type Sql } from "../sql.ts";

/** Failures whose incident is known: twice as many as the coordinator keeps. */
const KEPT = 20_000;

export type Covering = { incidentId: string; key: string };

export class CoveredFailureStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  save(failureId: string, { incidentId, key }: Covering): void {
    this.#sql.all(
      "INSERT OR REPLACE INTO covered_failures (failure_id, incident_id, key) VALUES (?, ?, ?)",
      failureId,
      incidentId,
      key,
    );
    this.#sql.all(
      "DELETE FROM covered_failures WHERE number <= (SELECT max(number) FROM covered_failures) - ?",
      KEPT,
    );
  }

  find(failureId: string): Covering | undefined {
    return first<Covering>(
      this.#sql,
      "SELECT incident_id AS incidentId, key FROM covered_failures WHERE failure_id = ?",
      failureId,
    );
  }
}
