/** The sessions of a group: one row for each live incarnation. */
import type { Sql } from "../sql.ts";

export type SessionRow = {
  agentId: string;
  /** Its place in the row of signs of life. */
  slot: number;
  incarnation: number;
  intervalMs: number;
  timeoutMs: number;
  registeredAtMs: number;
  /** Broadcasts with a greater number are for it, unless it acknowledged them. */
  messagesFrom: number;
};

export class SessionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): SessionRow[] {
    return this.#sql.all<SessionRow>(
      `SELECT agent_id AS agentId, slot, incarnation, interval_ms AS intervalMs, timeout_ms AS timeoutMs,
              registered_at AS registeredAtMs, messages_from AS messagesFrom FROM sessions`,
    );
  }

  save(row: SessionRow): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO sessions (agent_id, slot, incarnation, interval_ms, timeout_ms, registered_at,
         messages_from) VALUES (?, ?, ?, ?, ?, ?, ?)`,
      row.agentId,
      row.slot,
      row.incarnation,
      row.intervalMs,
      row.timeoutMs,
      row.registeredAtMs,
      row.messagesFrom,
    );
  }

  remove(agentId: string): void {
    this.#sql.all("DELETE FROM sessions WHERE agent_id = ?", agentId);
  }
}
