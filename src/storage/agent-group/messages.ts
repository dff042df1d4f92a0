/**
 * The unread messages of a group's agents. A message is removed when its agent acknowledges it; a broadcast is
 * one row for all agents, and stays until it is dropped.
 */
import { mapSlice, readSlice, type Slice } from "../page.ts";
import { first, type Sql } from "../sql.ts";
import { type Row, Table } from "../table.ts";

/** `content` is JSON text. */
export type MessageDraft = { from: string; messageType: string; content: string; sentAtMs: number };
export type MessageRow = MessageDraft & { number: number };

/** Numbered by the database. */
type StoredMessage = MessageDraft & { agentId: string | null };

const MESSAGES = new Table<StoredMessage>("messages", {
  key: [],
  columns: {
    agentId: "agent_id",
    from: "sender",
    messageType: "message_type",
    content: "content",
    sentAtMs: "sent_at",
  },
});

export class MessageStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** @param agentId null for a broadcast. @returns its number, greater than any before */
  append(agentId: string | null, draft: MessageDraft): number {
    const row = first<{ number: number }>(
      this.#sql,
      `${MESSAGES.insertion} RETURNING number`,
      ...MESSAGES.values({ ...draft, agentId }),
    );
    if (row === undefined) throw new Error("a message was stored without a number");
    return row.number;
  }

  /** An agent's own messages and these broadcasts, oldest first, behind a number. */
  page(
    agentId: string,
    broadcasts: readonly number[],
    { after, limit }: { after: number; limit: number },
  ): Slice<MessageRow> {
    const found = readSlice<Row & { number: number }>(limit, (count, last) => {
      const from = last?.number ?? after;
      return this.#sql.all(
        `SELECT number, ${MESSAGES.columns} FROM messages WHERE number IN (
           SELECT number FROM (
             SELECT number FROM messages WHERE agent_id = ? AND number > ? ORDER BY number LIMIT ?)
           UNION ALL SELECT value FROM json_each(?) WHERE value > ?)
         ORDER BY number LIMIT ?`,
        agentId,
        from,
        count,
        JSON.stringify(broadcasts),
        from,
        count,
      );
    });
    return mapSlice(found, ({ number, ...row }) => ({ number, ...MESSAGES.read(row) }));
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
