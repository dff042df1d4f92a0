/** The sessions of a group: one row for each live incarnation. */
import type { DrainMode } from "../../contract/agent.ts";
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
  /** The number of its socket, as long as it has one. */
  connection: number | null;
  /** Its socket broke: it is given up unless it shows life before this. */
  suspectUntilMs: number | null;
  /** Null while it takes tasks. */
  drainMode: DrainMode | null;
  drainDeadlineMs: number | null;
};

export class SessionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): SessionRow[] {
    return this.#sql.all<SessionRow>(
      `SELECT agent_id AS agentId, slot, incarnation, interval_ms AS intervalMs, timeout_ms AS timeoutMs,
              registered_at AS registeredAtMs, messages_from AS messagesFrom, connection,
              suspect_until AS suspectUntilMs, drain_mode AS drainMode, drain_deadline AS drainDeadlineMs
       FROM sessions`,
    );
  }

  save(row: SessionRow): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO sessions (agent_id, slot, incarnation, interval_ms, timeout_ms, registered_at,
         messages_from, connection, suspect_until, drain_mode, drain_deadline)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.agentId,
      row.slot,
      row.incarnation,
      row.intervalMs,
      row.timeoutMs,
      row.registeredAtMs,
      row.messagesFrom,
      row.connection,
      row.suspectUntilMs,
      row.drainMode,
      row.drainDeadlineMs,
    );
  }

  remove(agentId: string): void {
    this.#sql.all("DELETE FROM sessions WHERE agent_id = ?", agentId);
  }
}
