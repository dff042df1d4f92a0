/** The record of failures, bounded. */
import type { Failure, FailureFilter } from "../../contract/failure.ts";
import { isAtLeast } from "../../domain/severity.ts";
import type { Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";

/** Failures kept; the oldest go first. */
const FAILURES_KEPT = 10_000;

/** Rows read at a time while a filter looks for matches. */
const SCAN_PAGE = 50;

/** What one page of failures may hold: an answer has to fit into memory and through a call with room to spare. */
const PAGE_CHARACTERS = 4_000_000;

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

  /** Newest first, behind a place in the list. */
  list(
    filter: FailureFilter,
    beforeNumber: number | null,
    limit: number,
  ): Slice<{ number: number; failure: Failure }> {
    const items: { number: number; failure: Failure }[] = [];
    let before = beforeNumber ?? Number.MAX_SAFE_INTEGER;
    let characters = 0;
    for (;;) {
      const rows = this.#sql.all<{ number: number; failure: string }>(
        "SELECT number, failure FROM failures WHERE number < ? ORDER BY number DESC LIMIT ?",
        before,
        SCAN_PAGE,
      );
      for (const row of rows) {
        before = row.number;
        const failure = JSON.parse(row.failure) as Failure;
        if (!matches(failure, filter)) continue;
        if (items.length === limit || characters > PAGE_CHARACTERS) return { items, hasMore: true };
        items.push({ number: row.number, failure });
        characters += row.failure.length;
      }
      if (rows.length < SCAN_PAGE) return { items, hasMore: false };
    }
  }
}

function matches(failure: Failure, filter: FailureFilter): boolean {
  if (filter.agent_id !== undefined && failure.agent_id !== filter.agent_id) return false;
  if (filter.failure_type !== undefined && failure.failure_type !== filter.failure_type) return false;
  if (filter.min_severity !== undefined && !isAtLeast(failure.severity, filter.min_severity)) return false;
  const atMs = Date.parse(failure.at);
  if (filter.since !== undefined && atMs < Date.parse(filter.since)) return false;
  return filter.until === undefined || atMs <= Date.parse(filter.until);
}
