/**
 * Failover: when an incarnation ends, its failure is recorded and its tasks are reassigned (see task-reassigner.ts).
 * When the last task is reassigned, the record gets the final counts.
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { AgentEnded } from "../../../protocol/messages.ts";
import type { ReassignmentJob } from "../../../storage/coordinator/reassignment-jobs.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { noSuchAgent } from "../refusals.ts";
import { failureRecord, strandedTasksFailure } from "./failure-record.ts";
import type { ReassignmentResult, TaskReassigner } from "./task-reassigner.ts";

type Needs = Pick<
  ClusterContext,
  | "agents"
  | "failures"
  | "host"
  | "outbox"
  | "settings"
  | "announceReleases"
  | "recordEvent"
  | "recordFailure"
  | "reportRecovery"
>;

export class Failover {
  readonly #context: Needs;
  readonly #reassigner: Pick<TaskReassigner, "hasWork" | "open" | "openFor" | "runSlice">;

  constructor(context: Needs, reassigner: Pick<TaskReassigner, "hasWork" | "open" | "openFor" | "runSlice">) {
    this.#context = context;
    this.#reassigner = reassigner;
  }

  get hasWork(): boolean {
    return this.#reassigner.hasWork;
  }

  /** An incarnation ended; its group refuses its calls from now on and has released its locks. */
  agentEnded(message: AgentEnded, nowMs: number): void {
    const agent = this.#context.agents.find(message.agentId);
    const isCurrent = agent !== undefined && agent.incarnation === message.incarnation;
    // The registration that replaced the incarnation has recorded its failure already.
    if (agent?.replaced?.incarnation === message.incarnation) return;
    if (message.ending === "failed") this.#recordFailed(message, { agent, isCurrent }, nowMs);
    else this.#recordLeaving(message, nowMs);
    this.#context.announceReleases(message.agentId, message.locksReleased, message.declaredAtMs);
    // A newer incarnation has the tasks already.
    if (!isCurrent) return;
    if (message.ending === "failed" && !this.#context.settings.config.failover_config.enabled) return;
    const kind = message.ending === "failed" ? "agent_failed" : "agent_unregistered";
    this.#reassigner.open({ kind, id: message.failureId, agent }, nowMs);
  }

  /** Failover was switched on: the tasks of agents that failed or became suspect meanwhile are reassigned now. */
  resume(nowMs: number): void {
    for (const agent of this.#context.agents.all()) {
      if (agent.status === "suspect") this.#reassigner.openFor("agent_suspect", agent, nowMs);
      if (isLive(agent.status) || this.#context.agents.openTasksOf(agent.id) === 0) continue;
      this.#reassigner.open({ kind: "agent_failed", id: this.#context.host.randomId(), agent }, nowMs);
    }
  }

  /** An operator removes an inactive agent: it leaves as if it had unregistered. */
  forget(agentId: string, nowMs: number): Outcome<null> {
    const agent = this.#context.agents.find(agentId);
    if (agent === undefined || agent.isLeaving) return noSuchAgent();
    if (isLive(agent.status)) {
      return refuse(
        "agent_live",
        "the agent is live; unregister it with DELETE /v1/clusters/{cluster}/groups/{group}/agents/{agent}",
      );
    }
    this.#context.agents.save({ ...agent, isLeaving: true });
    this.#context.recordEvent(
      { type: "agent.unregistered", subject: agentId, data: { incarnation: agent.incarnation } },
      nowMs,
    );
    this.#context.outbox.send(`group/${agent.group}`, { type: "forget_agent", agentId });
    this.#context.reportRecovery(agentId, "unregistered", nowMs);
    this.#reassigner.open({ kind: "agent_unregistered", id: this.#context.host.randomId(), agent }, nowMs);
    return ok(null);
  }

  /** Reassigns the next slice of tasks. */
  runSlice(nowMs: number): void {
    const done = this.#reassigner.runSlice(nowMs);
    if (done !== null) this.#finish(done.job, done.agent, nowMs);
  }

  /** The last task is reassigned: the failure's record gets the final counts. */
  conclude({ id, agentId, moved, ...counts }: ReassignmentResult, nowMs: number): void {
    const recorded = this.#context.failures.find(id);
    if (recorded === undefined) return;
    const tasks = {
      tasks_reassigned: counts.tasksReassigned,
      tasks_pending: counts.tasksPending,
      tasks_failed: counts.tasksFailed,
    };
    const failure = { ...recorded, ...tasks };
    this.#context.failures.update(failure);
    this.#context.outbox.send("notifier", { type: "failure_recorded", stage: "failed_over", failure, moved });
    this.#context.recordEvent(
      { type: "failure.failed_over", subject: id, data: { agent_id: agentId, ...tasks } },
      nowMs,
    );
  }

  #finish(job: ReassignmentJob, agent: AgentRecord | undefined, nowMs: number): void {
    if (agent?.isLeaving) this.#context.agents.remove(agent.id);
    this.conclude(job, nowMs);
    if (job.tasksStranded > 0) this.#recordStranded(job, agent, nowMs);
  }

  #recordFailed(
    message: AgentEnded,
    { agent, isCurrent }: { agent: AgentRecord | undefined; isCurrent: boolean },
    nowMs: number,
  ): void {
    const { critical_agents, failure_cooldown_period } = this.#context.settings.config.failover_config;
    const details = {
      ...message.details,
      incarnation: message.incarnation,
      ...(isCurrent ? {} : { note: "the agent had registered again by then; its tasks stayed with it" }),
    };
    this.#context.recordFailure(
      failureRecord(
        {
          id: message.failureId,
          failureType: message.failureType,
          severity: critical_agents.includes(message.agentId) ? "critical" : "error",
          message: `${message.agentId}: ${message.message}`,
          details,
          agent: agent ?? null,
          taskCount: this.#context.agents.openTasksOf(message.agentId),
          lastSignMs: message.lastSignMs,
          locksReleased: message.locksReleased,
        },
        Math.max(message.declaredAtMs, message.lastSignMs),
      ),
      null,
      nowMs,
    );
    if (!isCurrent) this.#context.reportRecovery(message.agentId, "returned", nowMs);
    if (agent === undefined) return;
    this.#context.agents.save({
      ...agent,
      ...(isCurrent ? { status: "inactive" as const, lastHeartbeatAtMs: message.lastSignMs } : {}),
      failureCount: agent.failureCount + 1,
      cooldownUntilMs: nowMs + failure_cooldown_period * 1000,
      reliabilityHistory: withEvent(agent.reliabilityHistory, "agent_failed", nowMs),
    });
    if (!isCurrent) return;
    this.#context.recordEvent(
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

  #recordLeaving(message: AgentEnded, nowMs: number): void {
    const agent = this.#context.agents.find(message.agentId);
    if (agent === undefined || agent.incarnation !== message.incarnation) return;
    this.#context.agents.save({
      ...agent,
      status: "inactive",
      isLeaving: true,
      lastHeartbeatAtMs: message.lastSignMs,
    });
    this.#context.recordEvent(
      { type: "agent.unregistered", subject: agent.id, data: { incarnation: agent.incarnation } },
      nowMs,
    );
  }

  #recordStranded(job: ReassignmentJob, agent: AgentRecord | undefined, nowMs: number): void {
    const id = this.#context.host.randomId();
    this.#context.recordFailure(
      strandedTasksFailure({ id, job, agent: agent ?? null }, nowMs),
      { causedBy: job.id, stranded: job.stranded, taskCount: job.tasksStranded },
      nowMs,
    );
  }
}
