/** The sessions of a group: one row for each live incarnation. */
import type { DrainMode } from "../../contract/agent.ts";
import type { Sql } from "../sql.ts";
import { flag, Table } from "../table.ts";

export type SessionRow = {
  agentId: string;
  /** Its index in the row of signs of life. */
  slot: number;
  incarnation: number;
  intervalMs: number;
  timeoutMs: number;
  registeredAtMs: number;
  /** Broadcasts with a greater number are unread, unless the agent acknowledged them one by one. */
  messagesFrom: number;
  /** The number of its socket, while it has one. */
  connection: number | null;
  /** Its socket broke: the agent becomes inactive unless it shows a sign of life before this. */
  suspectUntilMs: number | null;
  /** Null while the agent accepts new tasks. */
  drainMode: DrainMode | null;
  drainDeadlineMs: number | null;
  /** The process that registered the incarnation, as it names itself. */
  instance: string | null;
  /** The live incarnation of another process that this one replaced. */
  replacedIncarnation: number | null;
  /** The replaced incarnation was heard of since: both processes live. */
  isReplacedAlive: boolean;
};

const SESSIONS = new Table<SessionRow>("sessions", {
  key: ["agentId"],
  columns: {
    agentId: "agent_id",
    slot: "slot",
    incarnation: "incarnation",
    intervalMs: "interval_ms",
    timeoutMs: "timeout_ms",
    registeredAtMs: "registered_at",
    messagesFrom: "messages_from",
    connection: "connection",
    suspectUntilMs: "suspect_until",
    drainMode: "drain_mode",
    drainDeadlineMs: "drain_deadline",
    instance: "instance",
    replacedIncarnation: "replaced_incarnation",
    isReplacedAlive: flag("is_replaced_alive"),
  },
});

export class SessionStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  all(): SessionRow[] {
    return this.#sql.all(`SELECT ${SESSIONS.columns} FROM sessions`).map(SESSIONS.read);
  }

  save(row: SessionRow): void {
    SESSIONS.replace(this.#sql, row);
  }

  remove(agentId: string): void {
    this.#sql.all("DELETE FROM sessions WHERE agent_id = ?", agentId);
  }
}
