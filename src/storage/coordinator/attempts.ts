/** The agent of each attempt, and how the attempt ended; `overtaken` by the late result of another. */
import type { AgentRecord } from "../../domain/agent.ts";
import type { TaskRecord } from "../../domain/task.ts";
import { first, type Sql } from "../sql.ts";
import { Table } from "../table.ts";

export type AttemptOutcome =
  | "completed"
  | "reported_failed"
  | "timed_out"
  | "agent_failed"
  | "agent_restarted"
  | "agent_unregistered"
  | "reregistered"
  | "cancelled"
  | "agent_suspect"
  | "agent_drained"
  | "overtaken";

export type AttemptRow = {
  taskId: string;
  attempt: number;
  agentId: string;
  incarnation: number;
  assignedAtMs: number;
  endedAtMs: number | null;
  outcome: AttemptOutcome | null;
  /** Of the task when it was assigned; null if that is not on record. */
  priority: number | null;
  reassignmentCount: number | null;
};

const ATTEMPTS = new Table<AttemptRow>("attempts", {
  key: ["taskId", "attempt"],
  columns: {
    taskId: "task_id",
    attempt: "attempt",
    agentId: "agent_id",
    incarnation: "incarnation",
    assignedAtMs: "assigned_at",
    endedAtMs: "ended_at",
    outcome: "outcome",
    priority: "priority",
    reassignmentCount: "reassignment_count",
  },
});

/** Attempts kept of one task; the oldest go first. */
const KEPT = 200;

export class AttemptStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** @param task as it was assigned to the agent */
  insert(
    { id, attempt, priority, reassignmentCount }: TaskRecord,
    agent: Pick<AgentRecord, "id" | "incarnation">,
    nowMs: number,
  ): void {
    ATTEMPTS.insert(this.#sql, {
      taskId: id,
      attempt,
      agentId: agent.id,
      incarnation: agent.incarnation,
      assignedAtMs: nowMs,
      endedAtMs: null,
      outcome: null,
      priority,
      reassignmentCount,
    });
    this.#sql.all("DELETE FROM attempts WHERE task_id = ? AND attempt <= ?", id, attempt - KEPT);
  }

  /** Ends the task's current attempt. */
  end({ id, attempt }: Pick<TaskRecord, "id" | "attempt">, outcome: AttemptOutcome, nowMs: number): void {
    this.#sql.all(
      "UPDATE attempts SET ended_at = ?, outcome = ? WHERE task_id = ? AND attempt = ?",
      nowMs,
      outcome,
      id,
      attempt,
    );
  }

  /** The attempt is its holder's again. */
  reopen(taskId: string, attempt: number): void {
    this.#sql.all(
      "UPDATE attempts SET ended_at = NULL, outcome = NULL WHERE task_id = ? AND attempt = ?",
      taskId,
      attempt,
    );
  }

  /** Whether an attempt of the task ended in this way. */
  hasOutcome(taskId: string, outcome: AttemptOutcome): boolean {
    return (
      first(
        this.#sql,
        "SELECT 1 AS found FROM attempts WHERE task_id = ? AND outcome = ? LIMIT 1",
        taskId,
        outcome,
      ) !== undefined
    );
  }

  find(taskId: string, attempt: number): AttemptRow | undefined {
    const row = first(
      this.#sql,
      `SELECT ${ATTEMPTS.columns} FROM attempts WHERE task_id = ? AND attempt = ?`,
      taskId,
      attempt,
    );
    return row && ATTEMPTS.read(row);
  }
}
