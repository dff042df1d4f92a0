/** The delivery log. Bounded. */
import type { Notification } from "../../contract/notification.ts";
import type { Sql } from "../sql.ts";

/** Deliveries kept; the oldest go first. */
const KEPT = 10_000;

export class NotificationStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  insert(notification: Notification): void {
    this.#sql.all(
      "INSERT INTO notifications (id, notification) VALUES (?, ?)",
      notification.id,
      JSON.stringify(notification),
    );
    this.#sql.all(
      "DELETE FROM notifications WHERE number <= (SELECT max(number) FROM notifications) - ?",
      KEPT,
    );
  }

  /** Newest first, behind a place in the list. */
  list(beforeNumber: number | null, limit: number): { number: number; notification: Notification }[] {
    return this.#sql
      .all<{ number: number; notification: string }>(
        "SELECT number, notification FROM notifications WHERE number < ? ORDER BY number DESC LIMIT ?",
        beforeNumber ?? Number.MAX_SAFE_INTEGER,
        limit,
      )
      .map((row) => ({ number: row.number, notification: JSON.parse(row.notification) as Notification }));
  }
}
