/** The locks of a group: one row for each resource. */
import type { LockRecord } from "../../domain/lock.ts";
import type { Sql } from "../sql.ts";
import { json, Table } from "../table.ts";

const LOCKS = new Table<LockRecord>("locks", {
  key: ["resource"],
  columns: {
    resource: "resource",
    holder: "holder",
    incarnation: "incarnation",
    fencingToken: "fencing_token",
    ttlMs: "ttl_ms",
    acquiredAtMs: "acquired_at",
    expiresAtMs: "expires_at",
    extensions: "extensions",
    grantableAtMs: "grantable_at",
    releases: json("releases"),
  },
  computed: { released_token: ({ releases }) => releases.at(-1)?.fencingToken ?? null },
});

export class LockStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): LockRecord[] {
    return this.#sql.all(`SELECT ${LOCKS.columns} FROM locks ORDER BY resource`).map(LOCKS.read);
  }

  save(lock: LockRecord): void {
    LOCKS.replace(this.#sql, lock);
  }

  remove(resource: string): void {
    this.#sql.all("DELETE FROM locks WHERE resource = ?", resource);
  }
}
