/** The changes of the configuration, bounded. */
import type { ConfigRevision } from "../../contract/config/revision.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import type { Sql } from "../sql.ts";

/** Changes kept; the oldest go first. */
const REVISIONS_KEPT = 500;

export class ConfigRevisionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(revision: ConfigRevision): void {
    this.#sql.all("INSERT INTO config_revisions (revision) VALUES (?)", JSON.stringify(revision));
    this.#sql.all(
      "DELETE FROM config_revisions WHERE number <= (SELECT max(number) FROM config_revisions) - ?",
      REVISIONS_KEPT,
    );
  }

  /** Newest first, behind a number; fewer than asked for if they are large. */
  list(beforeNumber: number | null, limit: number): Slice<{ number: number; revision: ConfigRevision }> {
    const found = readSlice<{ number: number; revision: string }>(limit, (count, last) =>
      this.#sql.all(
        "SELECT number, revision FROM config_revisions WHERE number < ? ORDER BY number DESC LIMIT ?",
        last?.number ?? beforeNumber ?? Number.MAX_SAFE_INTEGER,
        count,
      ),
    );
    return mapSlice(found, ({ number, revision }) => ({
      number,
      revision: JSON.parse(revision) as ConfigRevision,
    }));
  }
}
