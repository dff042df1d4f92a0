/**
 * Taking tasks from an agent that ended, is suspect or drains, in slices that a crash between
 * any two does not harm: the job is a row, and a task that moved is no longer the agent's.
 */
import { TASKS_NAMED } from "../../../contract/incident.ts";
import type { TaskStatus } from "../../../contract/task.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { avoidingHolder } from "../../../domain/task-lifecycle.ts";
import type { JobKind, ReassignmentJob } from "../../../storage/coordinator/reassignment-jobs.ts";
import type { QueuePosition } from "../../../storage/coordinator/tasks.ts";
import type { Slice } from "../../../storage/page.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";
import type { AttemptLosses } from "./attempt-loss.ts";

/** Tasks moved in one transaction: some tens of milliseconds of work, so that requests pass in between. */
const SLICE = 100;

/** What a job of an agent that lives on takes from it. */
const TAKEN: Record<Exclude<JobKind, "agent_failed" | "agent_unregistered">, readonly TaskStatus[]> = {
  agent_suspect: ["assigned"],
  agent_drained: ["assigned"],
  drain_over: ["assigned", "running"],
};

/** With its place in line, where that is needed to go on behind it. */
type HeldTask = { task: TaskRecord; place: QueuePosition | null };

export class TaskReassigner {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #losses: AttemptLosses;
  /** Whether a job waits; null until looked up. */
  #hasWork: boolean | null = null;

  constructor(context: ClusterContext, placement: Placement, losses: AttemptLosses) {
    this.#context = context;
    this.#placement = placement;
    this.#losses = losses;
  }

  load(): void {
    this.#hasWork = null;
  }

  get hasWork(): boolean {
    this.#hasWork ??= this.#context.reassignmentJobs.next() !== undefined;
    return this.#hasWork;
  }

  /** @param id of the failure behind it; a job with the same id is begun anew */
  open(kind: JobKind, id: string, agent: AgentRecord, nowMs: number): void {
    const earlier = kind === "agent_failed" ? this.#movedOnSuspicion(agent) : null;
    this.#context.reassignmentJobs.save({
      id,
      agentId: agent.id,
      incarnation: agent.incarnation,
      kind,
      isCritical: this.#context.settings.config.failover_config.critical_agents.includes(agent.id),
      startedAtMs: nowMs,
      tasksReassigned: earlier?.tasksReassigned ?? 0,
      tasksPending: 0,
      tasksFailed: 0,
      stranded: [],
      moved: earlier?.moved ?? [],
      after: null,
    });
    this.#hasWork = true;
  }

  /** The suspicion was wrong: what moved for it was no failure's doing. */
  cleared(agentId: string): void {
    this.#context.reassignmentJobs.remove(suspicionOf(agentId));
    this.#hasWork = null;
  }

  /** What moved when the agent became suspect belongs to the failure that it turned out to be. */
  #movedOnSuspicion({ id, incarnation }: AgentRecord): ReassignmentJob | null {
    const suspicion = this.#context.reassignmentJobs.find(suspicionOf(id));
    if (suspicion === undefined) return null;
    this.#context.reassignmentJobs.remove(suspicion.id);
    return suspicion.incarnation === incarnation ? suspicion : null;
  }

  /** The job of an agent that lives on: one of a kind at a time. */
  openFor(kind: keyof typeof TAKEN, agent: AgentRecord, nowMs: number): void {
    this.open(kind, `${kind}/${agent.id}`, agent, nowMs);
  }

  /**
   * Moves the next slice of tasks, of the job whose turn it is.
   * @returns the job that this completed, if any, with its agent unless the job was no longer called for
   */
  runSlice(nowMs: number): { job: ReassignmentJob; agent: AgentRecord | undefined } | null {
    const job = this.#context.reassignmentJobs.next();
    this.#hasWork = null;
    if (job === undefined) return null;
    const agent = this.#context.agents.find(job.agentId);
    const isCalledFor = agent !== undefined && this.#isCalledFor(job, agent);
    const slice = isCalledFor ? this.#slice(job) : { items: [], hasMore: false };
    let progress = job;
    for (const { task, place } of slice.items) {
      const moved = this.#move(task, job, nowMs);
      progress = { ...(moved === task ? progress : counted(progress, moved)), after: place };
    }
    if (slice.hasMore) {
      this.#context.reassignmentJobs.save(progress);
      return null;
    }
    if (job.kind === "agent_suspect" && isCalledFor) {
      this.#context.reassignmentJobs.setAside(progress);
    } else {
      this.#context.reassignmentJobs.remove(job.id);
    }
    return { job: progress, agent: isCalledFor ? agent : undefined };
  }

  /** Whether what opened the job still holds. */
  #isCalledFor({ kind, incarnation }: ReassignmentJob, agent: AgentRecord): boolean {
    if (agent.incarnation !== incarnation) return false;
    if (kind === "agent_suspect") return agent.status === "suspect";
    if (kind === "agent_drained") return isLive(agent.status) && agent.drain !== null;
    if (kind === "drain_over") return isLive(agent.status) && agent.drain?.isOver === true;
    return true;
  }

  #slice({ kind, agentId, after }: ReassignmentJob): Slice<HeldTask> {
    const { store } = this.#context.tasks;
    if (kind !== "agent_failed" && kind !== "agent_unregistered") {
      return store.heldPage(agentId, TAKEN[kind], after, SLICE);
    }
    // Everything goes, so the next slice is again the first of what is left.
    const tasks = this.#context.settings.config.failover_config.priority_based_reassignment
      ? store.heldBy(agentId, SLICE)
      : store.heldByInOrderOfAge(agentId, SLICE);
    return { items: tasks.map((task) => ({ task, place: null })), hasMore: tasks.length === SLICE };
  }

  /** @returns the task as it stands then; the same if it stays where it is */
  #move(task: TaskRecord, { kind, agentId }: ReassignmentJob, nowMs: number): TaskRecord {
    switch (kind) {
      case "agent_failed":
        return this.#losses.lose(
          task,
          {
            reason: "agent_failed",
            outcome: "agent_failed",
            message: `${agentId} failed`,
            notBeforeMs: null,
          },
          nowMs,
        );
      case "agent_unregistered":
        this.#context.attempts.end(task.id, task.attempt, "agent_unregistered", nowMs);
        return this.#placement.place(task, avoidingHolder(task), "agent_unregistered", nowMs).task;
      case "agent_suspect":
        return this.#moveFromSuspect(task, agentId, nowMs);
      case "agent_drained":
      case "drain_over":
        this.#context.attempts.end(task.id, task.attempt, "agent_drained", nowMs);
        this.#losses.tellHolder(task, "agent_drained", nowMs);
        return this.#placement.place(task, avoidingHolder(task), "agent_drained", nowMs).task;
    }
  }

  /** It may be back in a moment: what nobody else can take is better with it than with nobody. */
  #moveFromSuspect(task: TaskRecord, agentId: string, nowMs: number): TaskRecord {
    const why = `the connection of ${agentId} broke`;
    const given = this.#placement.placeIfTaken(task, avoidingHolder(task), "agent_failed", nowMs, why);
    if (given === null) return task;
    this.#context.attempts.end(task.id, task.attempt, "agent_suspect", nowMs);
    this.#losses.tellHolder(task, "agent_suspect", nowMs);
    return given;
  }
}

/** By the rule of `openFor`. */
const suspicionOf = (agentId: string) => `agent_suspect/${agentId}`;

function counted(job: ReassignmentJob, task: TaskRecord): ReassignmentJob {
  if (task.status === "assigned") {
    const move = task.holder === null ? [] : [{ task_id: task.id, to: task.holder }];
    const moved = job.moved.length < TASKS_NAMED ? [...job.moved, ...move] : job.moved;
    return { ...job, tasksReassigned: job.tasksReassigned + 1, moved };
  }
  if (task.status === "failed") return { ...job, tasksFailed: job.tasksFailed + 1 };
  return {
    ...job,
    tasksPending: job.tasksPending + 1,
    stranded: job.stranded.length < TASKS_NAMED ? [...job.stranded, task.id] : job.stranded,
  };
}
