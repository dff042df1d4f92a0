/** Whom each attempt was given to, and how it ended; `overtaken` by the late result of another. */
import type { AgentRecord } from "../../domain/agent.ts";
import type { TaskRecord } from "../../domain/task.ts";
import { first, type Sql } from "../sql.ts";

const ATTEMPT_OUTCOMES = [
  "completed",
  "reported_failed",
  "timed_out",
  "agent_failed",
  "agent_unregistered",
  "reregistered",
  "cancelled",
  "agent_suspect",
  "agent_drained",
  "overtaken",
] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

export type AttemptRow = {
  agentId: string;
  incarnation: number;
  assignedAtMs: number;
  outcome: AttemptOutcome | null;
  /** Of the task when it was given; null if that is not on record. */
  priority: number | null;
  reassignmentCount: number | null;
};

/** Attempts kept of one task; the oldest go first. */
const KEPT = 200;

export class AttemptStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** @param task as it was given to the agent */
  insert(
    { id, attempt, priority, reassignmentCount }: TaskRecord,
    agent: Pick<AgentRecord, "id" | "incarnation">,
    nowMs: number,
  ): void {
    this.#sql.all(
      `INSERT INTO attempts (task_id, attempt, agent_id, incarnation, assigned_at, priority, reassignment_count)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      id,
      attempt,
      agent.id,
      agent.incarnation,
      nowMs,
      priority,
      reassignmentCount,
    );
    this.#sql.all("DELETE FROM attempts WHERE task_id = ? AND attempt <= ?", id, attempt - KEPT);
  }

  end(taskId: string, attempt: number, outcome: AttemptOutcome, nowMs: number): void {
    this.#sql.all(
      "UPDATE attempts SET ended_at = ?, outcome = ? WHERE task_id = ? AND attempt = ?",
      nowMs,
      outcome,
      taskId,
      attempt,
    );
  }

  /** Its holder has it again. */
  reopen(taskId: string, attempt: number): void {
    this.#sql.all(
      "UPDATE attempts SET ended_at = NULL, outcome = NULL WHERE task_id = ? AND attempt = ?",
      taskId,
      attempt,
    );
  }

  find(taskId: string, attempt: number): AttemptRow | undefined {
    return first<AttemptRow>(
      this.#sql,
      `SELECT agent_id AS agentId, incarnation, assigned_at AS assignedAtMs, outcome, priority,
         reassignment_count AS reassignmentCount FROM attempts WHERE task_id = ? AND attempt = ?`,
      taskId,
      attempt,
    );
  }
}
