/** The delivery log: one row for each message and channel. Bounded. */
import type { ChannelName, Notification, NotificationFilter } from "../../contract/notification.ts";
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql, twice } from "../sql.ts";

/** Messages kept; the oldest of those that are not tried again go first. */
const KEPT = 5000;

/** A message as it is stored: what the log shows, and the content to send, as JSON. */
export type NotificationRow = { number: number; notification: Notification; message: string };

/** @property dedupKey of the incident that the messages are about; null for any */
export type NotificationSearch = Pick<NotificationFilter, "state" | "channel"> & { dedupKey: string | null };

type Row = { number: number; notification: string; message: string };

const fromRow = (row: Row): NotificationRow => ({
  number: row.number,
  notification: JSON.parse(row.notification) as Notification,
  message: row.message,
});

export class NotificationStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Adds a message that is to be sent at once. */
  insert(notification: Notification, message: string, nowMs: number): void {
    const row = first<{ number: number }>(
      this.#sql,
      `INSERT INTO notifications (id, channel, kind, created_at, state, next_try_at, notification, message)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number`,
      notification.id,
      notification.channel,
      notification.kind,
      nowMs,
      notification.state,
      nowMs,
      JSON.stringify(notification),
      message,
    );
    if (row === undefined) throw new Error("a notification was stored without a number");
    for (const key of notification.dedup_keys) {
      this.#sql.all("INSERT INTO notification_incidents (dedup_key, number) VALUES (?, ?)", key, row.number);
    }
  }

  save(number: number, notification: Notification, nextTryAtMs: number | null): void {
    this.#sql.all(
      "UPDATE notifications SET state = ?, next_try_at = ?, notification = ? WHERE number = ?",
      notification.state,
      nextTryAtMs,
      JSON.stringify(notification),
      number,
    );
  }

  find(id: string): NotificationRow | undefined {
    const row = first<Row>(
      this.#sql,
      "SELECT number, notification, message FROM notifications WHERE id = ?",
      id,
    );
    return row && fromRow(row);
  }

  /** The messages of a channel that are due, the longest due first. */
  due(channel: ChannelName, nowMs: number, limit: number): NotificationRow[] {
    return this.#sql
      .all<Row>(
        // Few messages are pending, and the log of a channel has thousands: `+` keeps its index out of the plan.
        `SELECT number, notification, message FROM notifications
         WHERE state = 'pending' AND +channel = ? AND next_try_at <= ? ORDER BY next_try_at, number LIMIT ?`,
        channel,
        nowMs,
        limit,
      )
      .map(fromRow);
  }

  /** Whether a message is due on any channel. */
  isAnyDue(nowMs: number): boolean {
    const due = "SELECT 1 FROM notifications WHERE state = 'pending' AND next_try_at <= ? LIMIT 1";
    return this.#sql.all(due, nowMs).length > 0;
  }

  /** The earliest instant after this one at which a message is due. */
  nextTryAfterMs(nowMs: number): number | null {
    return (
      first<{ at: number | null }>(
        this.#sql,
        "SELECT min(next_try_at) AS at FROM notifications WHERE state = 'pending' AND next_try_at > ?",
        nowMs,
      )?.at ?? null
    );
  }

  /** The messages of a channel about this incident that are not delivered yet. */
  pendingAbout(channel: ChannelName, dedupKey: string): NotificationRow[] {
    return this.#sql
      .all<Row>(
        `SELECT notifications.number AS number, notification, message FROM notification_incidents
         JOIN notifications ON notifications.number = notification_incidents.number
         WHERE dedup_key = ? AND channel = ? AND state = 'pending'`,
        dedupKey,
        channel,
      )
      .map(fromRow);
  }

  /** When messages of a channel were created since an instant, oldest first; without tests and superseded messages. */
  createdSince(channel: ChannelName, sinceMs: number): number[] {
    return this.#sql
      .all<{ at: number }>(
        `SELECT created_at AS at FROM notifications
         WHERE channel = ? AND created_at > ? AND kind <> 'test' AND state <> 'superseded'
         ORDER BY created_at`,
        channel,
        sinceMs,
      )
      .map((row) => row.at);
  }

  /** Newest first, behind a number; without the content to send. */
  list(
    { state, channel, dedupKey }: NotificationSearch,
    beforeNumber: number | null,
    limit: number,
  ): Slice<Omit<NotificationRow, "message">> {
    const found = readSlice<Omit<Row, "message">>(limit, (count, last) =>
      this.#sql.all(
        `SELECT number, notification FROM notifications
         WHERE number < ? AND (? IS NULL OR state = ?) AND (? IS NULL OR channel = ?)
           AND (? IS NULL OR number IN (SELECT number FROM notification_incidents WHERE dedup_key = ?))
         ORDER BY number DESC LIMIT ?`,
        last?.number ?? beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(state),
        ...twice(channel),
        ...twice(dedupKey),
        count,
      ),
    );
    return mapSlice(found, ({ number, notification }) => ({
      number,
      notification: JSON.parse(notification) as Notification,
    }));
  }

  prune(): void {
    const last = first<{ number: number }>(
      this.#sql,
      `SELECT number FROM notifications ORDER BY number DESC LIMIT 1 OFFSET ${KEPT}`,
    )?.number;
    if (last === undefined) return;
    // A message that waits for a retry is kept: the schedule of retries bounds how many there can be.
    const old = "SELECT number FROM notifications WHERE number <= ? AND state <> 'pending'";
    this.#sql.all(`DELETE FROM notification_incidents WHERE number IN (${old})`, last);
    this.#sql.all(`DELETE FROM notifications WHERE number IN (${old})`, last);
  }
}
