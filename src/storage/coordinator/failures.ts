/** The record of failures, bounded. */
import {
  type Failure,
  type FailureFilter,
  isAtLeast,
  SEVERITIES,
  type Severity,
} from "../../contract/failure.ts";
import { instant } from "../../contract/instant.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql, twice } from "../sql.ts";

/** Failures kept; the oldest go first. */
const FAILURES_KEPT = 10_000;

export class FailureStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(failure: Failure, atMs: number): void {
    this.#sql.all(
      "INSERT INTO failures (id, at, failure) VALUES (?, ?, ?)",
      failure.id,
      atMs,
      JSON.stringify(failure),
    );
    this.#sql.all(
      "DELETE FROM failures WHERE number <= (SELECT max(number) FROM failures) - ?",
      FAILURES_KEPT,
    );
  }

  update(failure: Failure): void {
    this.#sql.all("UPDATE failures SET failure = ? WHERE id = ?", JSON.stringify(failure), failure.id);
  }

  find(id: string): Failure | undefined {
    const row = first<{ failure: string }>(this.#sql, "SELECT failure FROM failures WHERE id = ?", id);
    return row && (JSON.parse(row.failure) as Failure);
  }

  countSince(sinceMs: number): number {
    return (
      first<{ count: number }>(this.#sql, "SELECT count(*) AS count FROM failures WHERE at >= ?", sinceMs)
        ?.count ?? 0
    );
  }

  /** Newest first, behind a number; fewer than asked for if they are large. */
  list(
    filter: FailureFilter,
    beforeNumber: number | null,
    limit: number,
  ): Slice<{ number: number; failure: Failure }> {
    const found = readSlice<{ number: number; failure: string }>(limit, (count, last) =>
      this.#sql.all(
        `SELECT number, failure FROM failures WHERE number < ?
           AND (? IS NULL OR failure ->> '$.agent_id' = ?) AND (? IS NULL OR failure ->> '$.failure_type' = ?)
           AND (? IS NULL OR failure ->> '$.severity' IN (SELECT value FROM json_each(?)))
           AND (? IS NULL OR failure ->> '$.at' >= ?) AND (? IS NULL OR failure ->> '$.at' <= ?)
         ORDER BY number DESC LIMIT ?`,
        last?.number ?? beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(filter.agent_id),
        ...twice(filter.failure_type),
        ...twice(severitiesFrom(filter.min_severity)),
        ...twice(utc(filter.since)),
        ...twice(utc(filter.until)),
        count,
      ),
    );
    return mapSlice(found, (row) => ({ number: row.number, failure: JSON.parse(row.failure) as Failure }));
  }
}

/** As JSON, for json_each. */
function severitiesFrom(least: Severity | undefined): string | undefined {
  return least && JSON.stringify(SEVERITIES.filter((severity) => isAtLeast(severity, least)));
}

/** The last instant whose text sorts behind the text of every earlier one: years have four digits. */
const LATEST_MS = Date.UTC(9999, 11, 31);

/** An instant in the form that failures are stored with: such texts are ordered like their instants. */
function utc(at: string | undefined): string | undefined {
  return at && instant(Math.min(Date.parse(at), LATEST_MS));
}
