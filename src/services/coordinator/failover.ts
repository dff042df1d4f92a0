/**
 * What follows when an agent ends: the failure goes on record, then its tasks move, in
 * slices that a crash between any two does not harm: the job is a row, and a task that
 * moved is no longer the agent's.
 */
import { TASKS_NAMED } from "../../contract/incident.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import { type AgentRecord, isLive } from "../../domain/agent.ts";
import type { AgentEnded } from "../../domain/message.ts";
import { withEvent } from "../../domain/reliability.ts";
import type { TaskRecord } from "../../domain/task.ts";
import { avoiding } from "../../domain/task-life.ts";
import type { FailoverJob } from "../../storage/coordinator/failovers.ts";
import { failureRecord } from "./failures.ts";
import type { Ledger } from "./ledger.ts";
import type { Losses } from "./losses.ts";
import type { Placement } from "./placement.ts";

/** Tasks moved in one transaction: some tens of milliseconds of work, so that requests pass in between. */
const SLICE = 100;

/** Locks named in events of their own; the failure's record lists all. */
const LOCK_EVENTS = 100;

export class Failover {
  readonly #ledger: Ledger;
  readonly #placement: Placement;
  readonly #losses: Losses;
  /** Whether a job waits; null until looked up. */
  #hasWork: boolean | null = null;

  constructor(ledger: Ledger, placement: Placement, losses: Losses) {
    this.#ledger = ledger;
    this.#placement = placement;
    this.#losses = losses;
  }

  load(): void {
    this.#hasWork = null;
  }

  get hasWork(): boolean {
    this.#hasWork ??= this.#ledger.failovers.next() !== undefined;
    return this.#hasWork;
  }

  /** An incarnation ended; its group has fenced it and freed its locks. */
  agentEnded(message: AgentEnded, nowMs: number): void {
    const agent = this.#ledger.roster.find(message.agentId);
    const isCurrent = agent !== undefined && agent.incarnation === message.incarnation;
    if (message.ending === "failed") this.#record(agent, message, isCurrent, nowMs);
    else this.#noteLeaving(message, nowMs);
    for (const resource of message.locksReleased.slice(0, LOCK_EVENTS)) {
      this.#ledger.note({ type: "lock.freed", subject: resource, data: { holder: message.agentId } }, nowMs);
    }
    // A newer incarnation took over the tasks already.
    if (!isCurrent) return;
    if (message.ending === "failed" && !this.#ledger.settings.config.failover_config.enabled) return;
    const reason = message.ending === "failed" ? "agent_failed" : "agent_unregistered";
    this.#openJob(message.failureId, agent, reason, nowMs);
  }

  /** Failover was switched on again: whoever died meanwhile and still holds tasks is failed over now. */
  takeUp(nowMs: number): void {
    for (const agent of this.#ledger.roster.all()) {
      if (isLive(agent.status) || this.#ledger.roster.openTasksOf(agent.id) === 0) continue;
      this.#openJob(this.#ledger.host.randomId(), agent, "agent_failed", nowMs);
    }
  }

  /** An operator drops an agent that is inactive: it leaves as if it had unregistered. */
  forget(agentId: string, nowMs: number): Outcome<null> {
    const agent = this.#ledger.roster.find(agentId);
    if (agent === undefined || agent.isLeaving)
      return refuse("not_found", "there is no such agent in this cluster");
    if (isLive(agent.status))
      return refuse("agent_live", "the agent is live; unregister it through its group");
    this.#ledger.roster.save({ ...agent, isLeaving: true });
    this.#ledger.note(
      { type: "agent.unregistered", subject: agentId, data: { incarnation: agent.incarnation } },
      nowMs,
    );
    this.#ledger.outbox.post(`group/${agent.group}`, { type: "forget", agentId });
    this.#ledger.noteRecovery(agentId, "unregistered", nowMs);
    this.#openJob(this.#ledger.host.randomId(), agent, "agent_unregistered", nowMs);
    return ok(null);
  }

  /** Moves the next slice of tasks. */
  runSlice(nowMs: number): void {
    const job = this.#ledger.failovers.next();
    if (job === undefined) {
      this.#hasWork = false;
      return;
    }
    const agent = this.#ledger.roster.find(job.agentId);
    const isOver = agent === undefined || agent.incarnation !== job.incarnation;
    const tasks = isOver ? [] : this.#slice(job.agentId);
    let progress = job;
    for (const task of tasks) progress = counted(progress, this.#move(task, job, nowMs));
    if (tasks.length === SLICE) this.#ledger.failovers.save(progress);
    else this.#finish(progress, isOver ? undefined : agent, nowMs);
    this.#hasWork = null;
  }

  #openJob(failureId: string, agent: AgentRecord, reason: FailoverJob["reason"], nowMs: number): void {
    this.#ledger.failovers.save({
      failureId,
      agentId: agent.id,
      incarnation: agent.incarnation,
      reason,
      isCritical: this.#ledger.settings.config.failover_config.critical_agents.includes(agent.id),
      startedAtMs: nowMs,
      tasksReassigned: 0,
      tasksPending: 0,
      tasksFailed: 0,
      stranded: [],
      moved: [],
    });
    this.#hasWork = true;
  }

  #slice(agentId: string): TaskRecord[] {
    const { store } = this.#ledger.tasks;
    return this.#ledger.settings.config.failover_config.priority_based_reassignment
      ? store.heldBy(agentId, SLICE)
      : store.heldByInOrderOfAge(agentId, SLICE);
  }

  #move(task: TaskRecord, job: FailoverJob, nowMs: number): TaskRecord {
    if (job.reason === "agent_unregistered") {
      this.#ledger.attempts.end(task.id, task.attempt, "agent_unregistered", nowMs);
      return this.#placement.place(task, avoiding(task), "agent_unregistered", nowMs).task;
    }
    return this.#losses.lose(
      task,
      {
        reason: "agent_failed",
        outcome: "agent_failed",
        message: `${job.agentId} failed`,
        notBeforeMs: null,
      },
      nowMs,
    );
  }

  #finish(job: FailoverJob, agent: AgentRecord | undefined, nowMs: number): void {
    this.#ledger.failovers.remove(job.failureId);
    if (agent?.isLeaving) this.#ledger.roster.remove(agent.id);
    const recorded = this.#ledger.failures.find(job.failureId);
    if (recorded !== undefined) {
      const failure = {
        ...recorded,
        tasks_reassigned: job.tasksReassigned,
        tasks_pending: job.tasksPending,
        tasks_failed: job.tasksFailed,
      };
      this.#ledger.failures.update(failure);
      this.#ledger.outbox.post("notifier", {
        type: "failure_noted",
        stage: "failed_over",
        failure,
        moved: job.moved,
      });
      this.#ledger.note(
        {
          type: "failure.failed_over",
          subject: failure.id,
          data: {
            agent_id: job.agentId,
            tasks_reassigned: job.tasksReassigned,
            tasks_pending: job.tasksPending,
            tasks_failed: job.tasksFailed,
          },
        },
        nowMs,
      );
    }
    // Whoever leaves in good order is no failure, whatever becomes of its tasks.
    if (job.tasksPending > 0 && job.reason === "agent_failed") this.#recordStranded(job, agent, nowMs);
  }

  #record(agent: AgentRecord | undefined, message: AgentEnded, isCurrent: boolean, nowMs: number): void {
    const { critical_agents, failure_cooldown_period } = this.#ledger.settings.config.failover_config;
    const details = {
      ...message.details,
      incarnation: message.incarnation,
      ...(isCurrent ? {} : { note: "it had registered again by then; its tasks stayed with it" }),
    };
    this.#ledger.recordFailure(
      failureRecord(
        {
          id: message.failureId,
          failureType: message.failureType,
          severity: critical_agents.includes(message.agentId) ? "critical" : "error",
          message: `${message.agentId}: ${message.message}`,
          details,
          agent: agent ?? null,
          taskCount: this.#ledger.roster.openTasksOf(message.agentId),
          lastSignMs: message.lastSignMs,
          locksReleased: message.locksReleased,
        },
        Math.max(message.declaredAtMs, message.lastSignMs),
      ),
      null,
      nowMs,
    );
    if (!isCurrent) this.#ledger.noteRecovery(message.agentId, "returned", nowMs);
    if (agent === undefined) return;
    this.#ledger.roster.save({
      ...agent,
      ...(isCurrent ? { status: "inactive" as const, lastHeartbeatAtMs: message.lastSignMs } : {}),
      failureCount: agent.failureCount + 1,
      cooldownUntilMs: nowMs + failure_cooldown_period * 1000,
      track: withEvent(agent.track, "agent_failed", nowMs),
    });
    if (!isCurrent) return;
    this.#ledger.note(
      {
        type: "agent.inactive",
        subject: agent.id,
        data: {
          failure_id: message.failureId,
          failure_type: message.failureType,
          incarnation: agent.incarnation,
        },
      },
      nowMs,
    );
  }

  #noteLeaving(message: AgentEnded, nowMs: number): void {
    const agent = this.#ledger.roster.find(message.agentId);
    if (agent === undefined || agent.incarnation !== message.incarnation) return;
    this.#ledger.roster.save({
      ...agent,
      status: "inactive",
      isLeaving: true,
      lastHeartbeatAtMs: message.lastSignMs,
    });
    this.#ledger.note(
      { type: "agent.unregistered", subject: agent.id, data: { incarnation: agent.incarnation } },
      nowMs,
    );
  }

  #recordStranded(job: FailoverJob, agent: AgentRecord | undefined, nowMs: number): void {
    this.#ledger.recordFailure(
      failureRecord(
        {
          id: this.#ledger.host.randomId(),
          failureType: "no_suitable_agent",
          severity: job.isCritical ? "critical" : "error",
          message: `nobody can take ${job.tasksPending} task(s) of ${job.agentId} now; they wait`,
          details: { task_ids: job.stranded, task_count: job.tasksPending, caused_by: job.failureId },
          agent: agent ?? null,
          taskCount: 0,
          lastSignMs: null,
        },
        nowMs,
      ),
      { causedBy: job.failureId, stranded: job.stranded, taskCount: job.tasksPending },
      nowMs,
    );
  }
}

function counted(job: FailoverJob, task: TaskRecord): FailoverJob {
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
