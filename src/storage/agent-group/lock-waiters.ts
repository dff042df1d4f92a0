/** The queues for the locks of a group: one row for each waiter. */
import type { LockWaiter } from "../../domain/lock.ts";
import type { Sql } from "../sql.ts";
import { Table } from "../table.ts";

const LOCK_WAITERS = new Table<LockWaiter>("lock_waiters", {
  key: ["position"],
  columns: {
    position: "position",
    resource: "resource",
    agentId: "agent_id",
    incarnation: "incarnation",
    ttlMs: "ttl_ms",
    waitMs: "wait_ms",
    endsAtMs: "ends_at",
    extensions: "extensions",
    requestId: "request_id",
  },
});

export class LockWaiterStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** In the order of their positions. */
  all(): LockWaiter[] {
    return this.#sql
      .all(`SELECT ${LOCK_WAITERS.columns} FROM lock_waiters ORDER BY position`)
      .map(LOCK_WAITERS.read);
  }

  save(waiter: LockWaiter): void {
    LOCK_WAITERS.replace(this.#sql, waiter);
  }

  remove(position: number): void {
    this.#sql.all("DELETE FROM lock_waiters WHERE position = ?", position);
  }
}
