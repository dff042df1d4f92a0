/** Failovers and the like under way: what is left when a crash comes between two slices. */
import type { TaskMove } from "../../contract/incident.ts";
import type { Sql } from "../sql.ts";
import type { QueuePosition } from "./tasks.ts";

/**
 * Why tasks are taken from an agent, which says how.
 * - `agent_failed`, `agent_unregistered`: its incarnation ended, everything moves.
 * - `agent_suspect`: what it has not started moves if somebody else can take it, else it stays.
 * - `agent_drained`: what it has not started moves.
 * - `drain_over`: its drain's deadline has passed, everything moves.
 */
export type JobKind =
  | "agent_failed"
  | "agent_unregistered"
  | "agent_suspect"
  | "agent_drained"
  | "drain_over";

export type ReassignmentJob = {
  /** The failure's, if a failure is behind it. */
  id: string;
  agentId: string;
  incarnation: number;
  kind: JobKind;
  isCritical: boolean;
  startedAtMs: number;
  tasksReassigned: number;
  tasksPending: number;
  tasksFailed: number;
  /** The first few tasks that nobody could take. */
  stranded: string[];
  /** Where the first few of the others went. */
  moved: TaskMove[];
  /** Of a job that may leave tasks where they are: how far it has come. */
  after: QueuePosition | null;
};

type Row = Omit<ReassignmentJob, "isCritical" | "stranded" | "moved" | "kind" | "after"> & {
  kind: string;
  after: string | null;
  isCritical: number;
  stranded: string;
  moved: string;
};

export class ReassignmentJobStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Keeps a job on a suspect that is done: should the agent fail, its failure moved these tasks too. */
  setAside(job: ReassignmentJob): void {
    this.#write(job, SET_ASIDE);
  }

  save(job: ReassignmentJob): void {
    this.#write(job, job.kind);
  }

  #write(job: ReassignmentJob, kind: string): void {
    this.#sql.all(
      `INSERT OR REPLACE INTO reassignment_jobs (id, agent_id, incarnation, kind, is_critical, started_at,
         tasks_reassigned, tasks_pending, tasks_failed, stranded, moved, after)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      job.id,
      job.agentId,
      job.incarnation,
      kind,
      job.isCritical ? 1 : 0,
      job.startedAtMs,
      job.tasksReassigned,
      job.tasksPending,
      job.tasksFailed,
      JSON.stringify(job.stranded),
      JSON.stringify(job.moved),
      job.after === null ? null : JSON.stringify(job.after),
    );
  }

  remove(id: string): void {
    this.#sql.all("DELETE FROM reassignment_jobs WHERE id = ?", id);
  }

  /** The job whose turn it is: critical agents' first, then the oldest. */
  next(): ReassignmentJob | undefined {
    const row = this.#sql.all<Row>(
      `${COLUMNS}
       FROM reassignment_jobs WHERE kind <> '${SET_ASIDE}'
       ORDER BY is_critical DESC, started_at, id LIMIT 1`,
    )[0];
    return row && jobOf(row);
  }

  find(id: string): ReassignmentJob | undefined {
    const row = this.#sql.all<Row>(`${COLUMNS} FROM reassignment_jobs WHERE id = ?`, id)[0];
    return row && jobOf(row);
  }
}

/** What stands for the kind of a job that was set aside. */
const SET_ASIDE = "agent_suspected";

const COLUMNS = `SELECT id, agent_id AS agentId, incarnation, kind,
  is_critical AS isCritical, started_at AS startedAtMs, tasks_reassigned AS tasksReassigned,
  tasks_pending AS tasksPending, tasks_failed AS tasksFailed, stranded, moved, after`;

function jobOf(row: Row): ReassignmentJob {
  return {
    ...row,
    kind: row.kind === SET_ASIDE ? "agent_suspect" : (row.kind as JobKind),
    isCritical: row.isCritical === 1,
    stranded: JSON.parse(row.stranded) as string[],
    moved: JSON.parse(row.moved) as TaskMove[],
    after: row.after === null ? null : (JSON.parse(row.after) as QueuePosition),
  };
}
