/** Tasks that are being taken from an agent, slice by slice: what remains when a crash comes between two slices. */
import type { TaskMove } from "../../contract/incident.ts";
import { first, type Sql } from "../sql.ts";
import { flag, json, nullableJson, type Row, Table } from "../table.ts";
import type { QueuePosition } from "./tasks/task-table.ts";

/**
 * Why tasks are taken from an agent, and so which of them.
 * - `agent_failed`, `agent_unregistered`: its incarnation ended; all its tasks move.
 * - `agent_suspect`: its unstarted tasks move where another agent can take them, and stay otherwise.
 * - `agent_drained`: its unstarted tasks move.
 * - `drain_over`: its drain's deadline has passed; all its tasks move.
 */
export type JobKind =
  | "agent_failed"
  | "agent_unregistered"
  | "agent_suspect"
  | "agent_drained"
  | "drain_over";

export type ReassignmentJob = {
  /** The failure's id, if a failure is the cause. */
  id: string;
  agentId: string;
  incarnation: number;
  kind: JobKind;
  isCritical: boolean;
  startedAtMs: number;
  tasksReassigned: number;
  tasksPending: number;
  tasksFailed: number;
  /** Of the pending ones, those that no registered agent could take as it is; the others wait for a free slot. */
  tasksStranded: number;
  /** The first few of the stranded ones. */
  stranded: string[];
  /** Where the first few of the others went. */
  moved: TaskMove[];
  /** Of a job that may leave tasks with their agent: the position of the last task it looked at. */
  after: QueuePosition | null;
};

/** The kind of a job that was set aside, as it is stored. */
const SET_ASIDE = "agent_suspected";

type StoredJob = Omit<ReassignmentJob, "kind"> & { kind: JobKind | typeof SET_ASIDE };

const REASSIGNMENT_JOBS = new Table<StoredJob>("reassignment_jobs", {
  key: ["id"],
  columns: {
    id: "id",
    agentId: "agent_id",
    incarnation: "incarnation",
    kind: "kind",
    isCritical: flag("is_critical"),
    startedAtMs: "started_at",
    tasksReassigned: "tasks_reassigned",
    tasksPending: "tasks_pending",
    tasksFailed: "tasks_failed",
    stranded: json("stranded"),
    moved: json("moved"),
    after: nullableJson("after"),
    tasksStranded: "tasks_stranded",
  },
});

export class ReassignmentJobStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Keeps a finished job on a suspect: if the agent fails, these tasks count as moved by its failure too. */
  setAside(job: ReassignmentJob): void {
    REASSIGNMENT_JOBS.replace(this.#sql, { ...job, kind: SET_ASIDE });
  }

  save(job: ReassignmentJob): void {
    REASSIGNMENT_JOBS.replace(this.#sql, job);
  }

  remove(id: string): void {
    this.#sql.all("DELETE FROM reassignment_jobs WHERE id = ?", id);
  }

  /** The job to work on next: critical agents' first, then the oldest. */
  next(): ReassignmentJob | undefined {
    const row = first(
      this.#sql,
      `SELECT ${REASSIGNMENT_JOBS.columns} FROM reassignment_jobs WHERE kind <> '${SET_ASIDE}'
       ORDER BY is_critical DESC, started_at, id LIMIT 1`,
    );
    return row && jobOf(row);
  }

  find(id: string): ReassignmentJob | undefined {
    const row = first(
      this.#sql,
      `SELECT ${REASSIGNMENT_JOBS.columns} FROM reassignment_jobs WHERE id = ?`,
      id,
    );
    return row && jobOf(row);
  }
}

function jobOf(row: Row): ReassignmentJob {
  const job = REASSIGNMENT_JOBS.read(row);
  return { ...job, kind: job.kind === SET_ASIDE ? "agent_suspect" : job.kind };
}
