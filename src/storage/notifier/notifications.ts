/** The delivery log: one row a message and channel. Bounded. */
import type { ChannelName, Notification, NotificationFilter } from "../../contract/notification.ts";
import { first, type Sql, twice } from "../sql.ts";

/** Messages kept; the oldest that nothing is to become of any more go first. */
const KEPT = 5000;

/** A message as it is kept: what the log shows, and what is sent, as JSON. */
export type NotificationRow = { number: number; notification: Notification; message: string };

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

  insert(notification: Notification, message: string, nowMs: number, nextTryAtMs: number): void {
    this.#sql.all(
      `INSERT INTO notifications (id, channel, kind, created_at, state, next_try_at, notification, message)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      notification.id,
      notification.channel,
      notification.kind,
      nowMs,
      notification.state,
      nextTryAtMs,
      JSON.stringify(notification),
      message,
    );
    const number = first<{ number: number }>(
      this.#sql,
      "SELECT number FROM notifications WHERE id = ?",
      notification.id,
    )?.number;
    for (const key of notification.dedup_keys) {
      this.#sql.all("INSERT INTO notification_incidents (dedup_key, number) VALUES (?, ?)", key, number ?? 0);
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
    return row === undefined ? undefined : fromRow(row);
  }

  /** Those of a channel whose try is due, the longest due first. */
  due(channel: ChannelName, nowMs: number, limit: number): NotificationRow[] {
    return this.#sql
      .all<Row>(
        `SELECT number, notification, message FROM notifications
         WHERE state = 'pending' AND channel = ? AND next_try_at <= ? ORDER BY next_try_at, number LIMIT ?`,
        channel,
        nowMs,
        limit,
      )
      .map(fromRow);
  }

  /** Whether a try is due on any channel. */
  isAnyDue(nowMs: number): boolean {
    const due = "SELECT 1 FROM notifications WHERE state = 'pending' AND next_try_at <= ? LIMIT 1";
    return this.#sql.all(due, nowMs).length > 0;
  }

  /** The earliest instant after this one at which a try is due. */
  nextTryAfterMs(nowMs: number): number | null {
    return (
      first<{ atMs: number | null }>(
        this.#sql,
        "SELECT min(next_try_at) AS atMs FROM notifications WHERE state = 'pending' AND next_try_at > ?",
        nowMs,
      )?.atMs ?? null
    );
  }

  /** Those of a channel that have not arrived and tell of this incident. */
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

  /** When a channel was sent messages since an instant, oldest first; not tests, nor what gave way. */
  sentSince(channel: ChannelName, sinceMs: number): number[] {
    return this.#sql
      .all<{ atMs: number }>(
        `SELECT created_at AS atMs FROM notifications
         WHERE channel = ? AND created_at > ? AND kind <> 'test' AND state <> 'superseded'
         ORDER BY created_at`,
        channel,
        sinceMs,
      )
      .map((row) => row.atMs);
  }

  /** Newest first, behind a place in the list. @param dedupKey of the incident they tell of, null for all */
  list(
    filter: NotificationFilter,
    dedupKey: string | null,
    beforeNumber: number | null,
    limit: number,
  ): NotificationRow[] {
    return this.#sql
      .all<Row>(
        `SELECT number, notification, message FROM notifications
         WHERE number < ? AND (? IS NULL OR state = ?) AND (? IS NULL OR channel = ?)
           AND (? IS NULL OR number IN (SELECT number FROM notification_incidents WHERE dedup_key = ?))
         ORDER BY number DESC LIMIT ?`,
        beforeNumber ?? Number.MAX_SAFE_INTEGER,
        ...twice(filter.state),
        ...twice(filter.channel),
        ...twice(dedupKey),
        limit,
      )
      .map(fromRow);
  }

  prune(): void {
    const last = first<{ number: number }>(
      this.#sql,
      `SELECT number FROM notifications ORDER BY number DESC LIMIT 1 OFFSET ${KEPT}`,
    )?.number;
    if (last === undefined) return;
    // One that waits for its next try is kept: how many there can be is bounded by their schedule.
    const old = "SELECT number FROM notifications WHERE number <= ? AND state <> 'pending'";
    this.#sql.all(`DELETE FROM notification_incidents WHERE number IN (${old})`, last);
    this.#sql.all(`DELETE FROM notifications WHERE number IN (${old})`, last);
  }
}
