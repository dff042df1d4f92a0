/** The locks of a group: one row a resource. */
import type { LockRecord } from "../../domain/lock.ts";
import type { Sql } from "../sql.ts";

export class LockStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): LockRecord[] {
    return this.#sql.all<LockRecord>(
      `SELECT resource, holder, incarnation, fencing_token AS fencingToken, ttl_ms AS ttlMs,
              acquired_at AS acquiredAtMs, expires_at AS expiresAtMs, extensions,
              released_token AS releasedToken, grantable_at AS grantableAtMs
       FROM locks ORDER BY resource`,
    );
  }

  save(lock: LockRecord): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO locks (resource, holder, incarnation, fencing_token, ttl_ms, acquired_at,
         expires_at, extensions, released_token, grantable_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      lock.resource,
      lock.holder,
      lock.incarnation,
      lock.fencingToken,
      lock.ttlMs,
      lock.acquiredAtMs,
      lock.expiresAtMs,
      lock.extensions,
      lock.releasedToken,
      lock.grantableAtMs,
    );
  }

  remove(resource: string): void {
    this.#sql.all("DELETE FROM locks WHERE resource = ?", resource);
  }
}
