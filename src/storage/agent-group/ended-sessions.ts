/** How the latest incarnation of each agent ended: what its later calls are told. */
import type { SessionEndReason } from "../../contract/agent.ts";
import { first, type Sql } from "../sql.ts";

/** Rows kept; the oldest go first. An incarnation that is not on record is told that it has expired. */
const ENDS_KEPT = 10_000;

export type EndedSession = { incarnation: number; reason: SessionEndReason };

export class EndedSessionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  save(agentId: string, { incarnation, reason }: EndedSession): void {
    this.#sql.all(
      "INSERT OR REPLACE INTO ended_sessions (agent_id, incarnation, reason) VALUES (?, ?, ?)",
      agentId,
      incarnation,
      reason,
    );
    this.#sql.all(
      "DELETE FROM ended_sessions WHERE number <= (SELECT max(number) FROM ended_sessions) - ?",
      ENDS_KEPT,
    );
  }

  isAny(): boolean {
    return first(this.#sql, "SELECT 1 AS found FROM ended_sessions LIMIT 1") !== undefined;
  }

  find(agentId: string): EndedSession | undefined {
    return first<EndedSession>(
      this.#sql,
      "SELECT incarnation, reason FROM ended_sessions WHERE agent_id = ?",
      agentId,
    );
  }
}
