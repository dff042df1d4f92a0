/**
 * Reassigns the tasks of an agent that ended, is suspect or drains. The work is done in slices. A crash between two
 * slices loses nothing: the job is a stored row, and a reassigned task no longer belongs to the agent.
 */

import { TASKS_NAMED } from "../../../contract/incident.ts";
import type { DecisionReason } from "../../../contract/placement/decision.ts";
import type { TaskStatus } from "../../../contract/task.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { avoidingHolder } from "../../../domain/task-lifecycle.ts";
import type { JobKind, ReassignmentJob } from "../../../storage/coordinator/reassignment-jobs.ts";
import type { QueuePosition } from "../../../storage/coordinator/tasks/task-table.ts";
import type { Slice } from "../../../storage/page.ts";
import { whyWaiting } from "../../../strategies/waiting.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";
import type { AttemptLosses } from "./attempt-loss.ts";

/** Tasks of one transaction: some tens of milliseconds of work, so that requests are served in between. */
const SLICE = 100;

/** Which tasks a job takes from an agent that stays live. */
const TAKEN: Record<Exclude<JobKind, "agent_failed" | "agent_unregistered">, readonly TaskStatus[]> = {
  agent_suspect: ["assigned"],
  agent_drained: ["assigned"],
  drain_over: ["assigned", "running"],
};

/** With its queue position, where the next slice starts behind it. */
type HeldTask = { task: TaskRecord; position: QueuePosition | null };

/** What became of the tasks of a failed agent, for the record of the failure. */
export type ReassignmentResult = Pick<
  ReassignmentJob,
  "id" | "agentId" | "tasksReassigned" | "tasksPending" | "tasksFailed" | "stranded" | "moved"
>;

/** @property id of the failure that caused the job; a job with the same id starts again */
export type ReassignmentOrder = { kind: JobKind; id: string; agent: AgentRecord };

type Needs = Pick<
  ClusterContext,
  "agents" | "attempts" | "reassignmentJobs" | "settings" | "tasks" | "wakeups" | "saveTask"
>;
type Parts = {
  placement: Pick<Placement, "place" | "placeIfPossible">;
  losses: Pick<AttemptLosses, "lose">;
};

export class TaskReassigner {
  readonly #context: Needs;
  readonly #parts: Parts;
  /** Whether there is a job to do; null if unknown. */
  #hasWork: boolean | null = null;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  load(): void {
    this.#hasWork = null;
  }

  get hasWork(): boolean {
    this.#hasWork ??= this.#context.reassignmentJobs.next() !== undefined;
    return this.#hasWork;
  }

  open({ kind, id, agent }: ReassignmentOrder, nowMs: number): void {
    const earlier = kind === "agent_failed" ? this.#takeSuspicionJob(agent) : null;
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
      tasksStranded: 0,
      stranded: [],
      moved: earlier?.moved ?? [],
      after: null,
    });
    this.#hasWork = true;
  }

  /** The agent is back: the tasks that were reassigned meanwhile belong to no failure. */
  suspicionCleared(agentId: string): void {
    this.#context.reassignmentJobs.remove(suspicionOf(agentId));
    this.#hasWork = null;
  }

  /** The suspect has failed: the tasks that were reassigned at the suspicion belong to that failure. */
  #takeSuspicionJob({ id, incarnation }: AgentRecord): ReassignmentJob | null {
    const suspicion = this.#context.reassignmentJobs.find(suspicionOf(id));
    if (suspicion === undefined) return null;
    this.#context.reassignmentJobs.remove(suspicion.id);
    return suspicion.incarnation === incarnation ? suspicion : null;
  }

  /** Opens a job of an agent that stays live: one of each kind at a time. */
  openFor(kind: keyof typeof TAKEN, agent: AgentRecord, nowMs: number): void {
    this.open({ kind, id: `${kind}/${agent.id}`, agent }, nowMs);
  }

  /**
   * Reassigns the next slice of tasks of the next job.
   * @returns the job that this slice completed, if any, with its agent unless the reason for the job was gone
   */
  runSlice(nowMs: number): { job: ReassignmentJob; agent: AgentRecord | undefined } | null {
    const job = this.#context.reassignmentJobs.next();
    this.#hasWork = null;
    if (job === undefined) return null;
    const agent = this.#context.agents.find(job.agentId);
    const isStillNeeded = agent !== undefined && this.#isStillNeeded(job, agent);
    const slice = isStillNeeded ? this.#slice(job) : { items: [], hasMore: false };
    const isQueued = this.#queueCheck();
    let progress = job;
    for (const { task, position } of slice.items) {
      const reassigned = this.#reassign(task, job, nowMs);
      if (reassigned !== task) {
        const isStranded =
          job.kind === "agent_failed" && reassigned.status === "pending" && !isQueued(reassigned);
        progress = counted(progress, reassigned);
        if (isStranded) {
          progress = withStranded(progress, reassigned);
          this.#context.saveTask(reassigned, { ...reassigned, queuedAtMs: null });
        }
      }
      progress = { ...progress, after: position };
    }
    if (slice.hasMore) {
      this.#context.reassignmentJobs.save(progress);
      return null;
    }
    if (job.kind === "agent_suspect" && isStillNeeded) {
      this.#context.reassignmentJobs.setAside(progress);
    } else {
      this.#context.reassignmentJobs.remove(job.id);
    }
    return { job: progress, agent: isStillNeeded ? agent : undefined };
  }

  /** Whether the reason for the job still applies. */
  #isStillNeeded({ kind, incarnation }: ReassignmentJob, agent: AgentRecord): boolean {
    if (agent.incarnation !== incarnation) return false;
    if (kind === "agent_suspect") return agent.status === "suspect";
    if (kind === "agent_drained") return isLive(agent.status) && agent.drain !== null;
    if (kind === "drain_over") return isLive(agent.status) && agent.drain?.isOver === true;
    return true;
  }

  /** Whether a pending task waits for a slot of an agent that could take it. Tasks with the same needs share one look. */
  #queueCheck(): (task: TaskRecord) => boolean {
    const known = new Map<string, boolean>();
    return (task) => {
      const needs = JSON.stringify([task.type, task.group, task.requiredLabels]);
      const isQueued =
        known.get(needs) ?? whyWaiting(task, this.#context.agents.candidates()).code === "at_capacity";
      known.set(needs, isQueued);
      return isQueued;
    };
  }

  #slice({ kind, agentId, after }: ReassignmentJob): Slice<HeldTask> {
    const { store } = this.#context.tasks;
    if (kind !== "agent_failed" && kind !== "agent_unregistered") {
      return store.held.page(agentId, TAKEN[kind], { after, limit: SLICE });
    }
    // All tasks are taken, so the next slice starts again with the first of the remaining ones.
    const tasks = this.#context.settings.config.failover_config.priority_based_reassignment
      ? store.held.of(agentId, SLICE)
      : store.held.ofByAge(agentId, SLICE);
    return { items: tasks.map((task) => ({ task, position: null })), hasMore: tasks.length === SLICE };
  }

  /** @returns the task afterwards; the same object if the task stays with its agent */
  #reassign(task: TaskRecord, { kind, agentId }: ReassignmentJob, nowMs: number): TaskRecord {
    switch (kind) {
      case "agent_failed":
        return this.#parts.losses.lose(
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
        this.#context.attempts.end(task, "agent_unregistered", nowMs);
        return this.#placeElsewhere(task, "agent_unregistered", nowMs);
      case "agent_suspect":
        return this.#takeFromSuspect(task, agentId, nowMs);
      case "agent_drained":
      case "drain_over":
        this.#context.attempts.end(task, "agent_drained", nowMs);
        this.#context.wakeups.revokeAttempt(task, "agent_drained", nowMs);
        return this.#placeElsewhere(task, "agent_drained", nowMs);
    }
  }

  #placeElsewhere(task: TaskRecord, reason: DecisionReason, nowMs: number): TaskRecord {
    return this.#parts.placement.place({ before: task, task: avoidingHolder(task), reason }, nowMs).task;
  }

  /** The suspect may be back in a moment: a task that no other agent can take stays with it. */
  #takeFromSuspect(task: TaskRecord, agentId: string, nowMs: number): TaskRecord {
    const because = `the connection of ${agentId} broke`;
    const given = this.#parts.placement.placeIfPossible(
      { before: task, task: avoidingHolder(task), reason: "agent_failed", because },
      nowMs,
    );
    if (given === null) return task;
    this.#context.attempts.end(task, "agent_suspect", nowMs);
    this.#context.wakeups.revokeAttempt(task, "agent_suspect", nowMs);
    return given;
  }
}

/** The id that `openFor` gives. */
const suspicionOf = (agentId: string) => `agent_suspect/${agentId}`;

/** @param task as it is after its loss */
export function counted<Result extends ReassignmentResult>(job: Result, task: TaskRecord): Result {
  if (task.status === "assigned") {
    const move = task.holder === null ? [] : [{ task_id: task.id, to: task.holder }];
    const moved = job.moved.length < TASKS_NAMED ? [...job.moved, ...move] : job.moved;
    return { ...job, tasksReassigned: job.tasksReassigned + 1, moved };
  }
  if (task.status === "failed") return { ...job, tasksFailed: job.tasksFailed + 1 };
  return { ...job, tasksPending: job.tasksPending + 1 };
}

/** No registered agent could take the task as it is. */
function withStranded(job: ReassignmentJob, task: TaskRecord): ReassignmentJob {
  return {
    ...job,
    tasksStranded: job.tasksStranded + 1,
    stranded: job.stranded.length < TASKS_NAMED ? [...job.stranded, task.id] : job.stranded,
  };
}
