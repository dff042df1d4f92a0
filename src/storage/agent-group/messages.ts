/**
 * The messages in the boxes of a group's agents. A message that its agent acknowledged is gone;
 * a broadcast is one row for all, and stays until it is dropped.
 */
import { readSlice, type Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";

/** `content` is JSON text. */
export type MessageDraft = { from: string; messageType: string; content: string; sentAtMs: number };
export type MessageRow = MessageDraft & { number: number };

export class MessageStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** @param agentId null for a broadcast. @returns its number, greater than any before */
  append(agentId: string | null, { from, messageType, content, sentAtMs }: MessageDraft): number {
    const row = first<{ number: number }>(
      this.#sql,
      `INSERT INTO messages (agent_id, sender, message_type, content, sent_at) VALUES (?, ?, ?, ?, ?)
       RETURNING number`,
      agentId,
      from,
      messageType,
      content,
      sentAtMs,
    );
    if (row === undefined) throw new Error("a message was stored without a number");
    return row.number;
  }

  /** An agent's own messages and these broadcasts, oldest first, behind a number. */
  page(
    agentId: string,
    broadcasts: readonly number[],
    afterNumber: number,
    limit: number,
  ): Slice<MessageRow> {
    let after = afterNumber;
    return readSlice<MessageRow>(limit, (count) => {
      const rows = this.#sql.all<MessageRow>(
        `SELECT number, sender AS "from", message_type AS messageType, content, sent_at AS sentAtMs
         FROM messages WHERE number IN (
           SELECT number FROM (
             SELECT number FROM messages WHERE agent_id = ? AND number > ? ORDER BY number LIMIT ?)
           UNION ALL SELECT value FROM json_each(?) WHERE value > ?)
         ORDER BY number LIMIT ?`,
        agentId,
        after,
        count,
        JSON.stringify(broadcasts),
        after,
        count,
      );
      after = rows.at(-1)?.number ?? after;
      return rows;
    });
  }

  oldest(limit: number): { number: number; agentId: string | null; sentAtMs: number }[] {
    return this.#sql.all(
      "SELECT number, agent_id AS agentId, sent_at AS sentAtMs FROM messages ORDER BY number LIMIT ?",
      limit,
    );
  }

  /** How many messages each agent has that were sent to it alone. */
  counts(): { agentId: string; count: number }[] {
    return this.#sql.all(
      `SELECT agent_id AS agentId, count(*) AS count FROM messages
       WHERE agent_id IS NOT NULL GROUP BY agent_id`,
    );
  }

  /** The numbers of the broadcasts, oldest first. */
  broadcasts(): number[] {
    return this.#sql
      .all<{ number: number }>("SELECT number FROM messages WHERE agent_id IS NULL ORDER BY number")
      .map(({ number }) => number);
  }

  /** Removes a message that was sent to this agent alone. @returns whether there was one */
  remove(agentId: string, number: number): boolean {
    const removed = this.#sql.all(
      "DELETE FROM messages WHERE number = ? AND agent_id = ? RETURNING number",
      number,
      agentId,
    );
    return removed.length > 0;
  }

  removeAllOf(agentId: string): void {
    this.#sql.all("DELETE FROM messages WHERE agent_id = ?", agentId);
  }

  removeBroadcast(number: number): void {
    this.#sql.all("DELETE FROM messages WHERE number = ? AND agent_id IS NULL", number);
    this.#sql.all("DELETE FROM acknowledgements WHERE number = ?", number);
  }

  acknowledged(): { agentId: string; number: number }[] {
    return this.#sql.all("SELECT agent_id AS agentId, number FROM acknowledgements");
  }

  acknowledge(agentId: string, number: number): void {
    this.#sql.all("INSERT INTO acknowledgements (number, agent_id) VALUES (?, ?)", number, agentId);
  }

  forgetAcknowledgements(agentId: string, numbers: Iterable<number>): void {
    this.#sql.all(
      "DELETE FROM acknowledgements WHERE agent_id = ? AND number IN (SELECT value FROM json_each(?))",
      agentId,
      JSON.stringify([...numbers]),
    );
  }
}
