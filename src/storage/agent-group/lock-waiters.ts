/** The lines for the locks of a group: one row for each who waits. */
import type { LockWaiter } from "../../domain/lock.ts";
import type { Sql } from "../sql.ts";

export class LockWaiterStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** In the order in which they came. */
  all(): LockWaiter[] {
    return this.#sql.all<LockWaiter>(
      `SELECT position, resource, agent_id AS agentId, incarnation, ttl_ms AS ttlMs, wait_ms AS waitMs,
              ends_at AS endsAtMs, extensions, request_id AS requestId
       FROM lock_waiters ORDER BY position`,
    );
  }

  save(waiter: LockWaiter): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO lock_waiters (position, resource, agent_id, incarnation, ttl_ms, wait_ms, ends_at,
         extensions, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      waiter.position,
      waiter.resource,
      waiter.agentId,
      waiter.incarnation,
      waiter.ttlMs,
      waiter.waitMs,
      waiter.endsAtMs,
      waiter.extensions,
      waiter.requestId,
    );
  }

  remove(position: number): void {
    this.#sql.all("DELETE FROM lock_waiters WHERE position = ?", position);
  }
}
