/**
 * What follows when an agent ends: the failure goes on record, its tasks move (see moves), and
 * when the last one has, the record says what it cost.
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import { withEvent } from "../../../domain/reliability.ts";
import type { AgentEnded } from "../../../protocol/messages.ts";
import type { FailoverJob } from "../../../storage/coordinator/reassignment-jobs.ts";
import type { Ledger } from "../cluster-context.ts";
import { failureRecord } from "./failure-record.ts";
import type { Moves } from "./task-reassigner.ts";

/** Locks named in events of their own; the failure's record lists all. */
const LOCK_EVENTS = 100;

export class Failover {
  readonly #ledger: Ledger;
  readonly #moves: Moves;

  constructor(ledger: Ledger, moves: Moves) {
    this.#ledger = ledger;
    this.#moves = moves;
  }

  get hasWork(): boolean {
    return this.#moves.hasWork;
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
    this.#moves.open(reason, message.failureId, agent, nowMs);
  }

  /** Failover was switched on again: whoever died or became suspect meanwhile and still holds tasks loses them now. */
  takeUp(nowMs: number): void {
    for (const agent of this.#ledger.roster.all()) {
      if (agent.status === "suspect") this.#moves.openFor("agent_suspect", agent, nowMs);
      if (isLive(agent.status) || this.#ledger.roster.openTasksOf(agent.id) === 0) continue;
      this.#moves.open("agent_failed", this.#ledger.host.randomId(), agent, nowMs);
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
    this.#moves.open("agent_unregistered", this.#ledger.host.randomId(), agent, nowMs);
    return ok(null);
  }

  /** Moves the next slice of tasks, of whichever agent's turn it is. */
  runSlice(nowMs: number): void {
    const done = this.#moves.runSlice(nowMs);
    if (done !== null) this.#finish(done.job, done.agent, nowMs);
  }

  #finish(job: FailoverJob, agent: AgentRecord | undefined, nowMs: number): void {
    if (agent?.isLeaving) this.#ledger.roster.remove(agent.id);
    const recorded = this.#ledger.failures.find(job.id);
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
    if (job.tasksPending > 0 && job.kind === "agent_failed") this.#recordStranded(job, agent, nowMs);
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
          details: { task_ids: job.stranded, task_count: job.tasksPending, caused_by: job.id },
          agent: agent ?? null,
          taskCount: 0,
          lastSignMs: null,
        },
        nowMs,
      ),
      { causedBy: job.id, stranded: job.stranded, taskCount: job.tasksPending },
      nowMs,
    );
  }
}
