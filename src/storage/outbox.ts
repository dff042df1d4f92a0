/**
 * The messages that other objects have not acknowledged yet, in order, and the dead letters, which a receiver refused for
 * ever. Numbers grow but may skip; a sender repeats from its oldest unacknowledged message, so a receiver that applies only
 * numbers above its own mark neither misses nor repeats one.
 */
import { Counter } from "./counter.ts";
import { first, type Sql } from "./sql.ts";

export const OUTBOX_SCHEMA = [
  `CREATE TABLE outbox (
     receiver TEXT NOT NULL, number INTEGER NOT NULL, message TEXT NOT NULL,
     PRIMARY KEY (receiver, number)) WITHOUT ROWID`,
  // Kept for an operator to read. They no longer hold up the messages behind them.
  `CREATE TABLE dead_letters (
     receiver TEXT NOT NULL, number INTEGER NOT NULL, message TEXT NOT NULL, reason TEXT NOT NULL,
     PRIMARY KEY (receiver, number)) WITHOUT ROWID`,
] as const;

/** Dead letters kept of one receiver; the oldest numbers go first. */
const DEAD_LETTERS_LIMIT = 1000;

export type StoredMessage = { number: number; message: string };

export class OutboxStore {
  readonly #sql: Sql;
  readonly #numbers: Counter;

  constructor(sql: Sql) {
    this.#sql = sql;
    this.#numbers = new Counter(sql, "outbox");
  }

  /** After a transaction that did not commit. */
  reload(): void {
    this.#numbers.reload();
  }

  /** Adds a message behind those already waiting and returns its number, greater than every earlier one. */
  append(receiver: string, message: string): number {
    const number = this.#numbers.take();
    this.#sql.all(
      "INSERT INTO outbox (receiver, number, message) VALUES (?, ?, ?)",
      receiver,
      number,
      message,
    );
    return number;
  }

  head(receiver: string, limit: number): StoredMessage[] {
    return this.#sql.all<StoredMessage>(
      "SELECT number, message FROM outbox WHERE receiver = ? ORDER BY number LIMIT ?",
      receiver,
      limit,
    );
  }

  /** Receivers with something undelivered. */
  receivers(): string[] {
    return this.#sql
      .all<{ receiver: string }>("SELECT DISTINCT receiver FROM outbox")
      .map((row) => row.receiver);
  }

  removeThrough(receiver: string, number: number): void {
    this.#sql.all("DELETE FROM outbox WHERE receiver = ? AND number <= ?", receiver, number);
  }

  /** Sets a message aside. @returns its type */
  moveToDeadLetters(receiver: string, number: number, reason: string): string {
    const message = first<{ message: string }>(
      this.#sql,
      "SELECT message FROM outbox WHERE receiver = ? AND number = ?",
      receiver,
      number,
    )?.message;
    this.#sql.all(
      "INSERT OR REPLACE INTO dead_letters SELECT receiver, number, message, ? FROM outbox WHERE receiver = ? AND number = ?",
      reason,
      receiver,
      number,
    );
    this.#sql.all("DELETE FROM outbox WHERE receiver = ? AND number = ?", receiver, number);
    this.#sql.all(
      "DELETE FROM dead_letters WHERE receiver = ? AND number <= ?",
      receiver,
      number - DEAD_LETTERS_LIMIT,
    );
    return message === undefined ? "unknown" : (JSON.parse(message) as { type: string }).type;
  }
}
