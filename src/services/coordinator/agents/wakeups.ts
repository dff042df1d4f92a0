/**
 * Tells agents that their task list changed, and which attempts were revoked. A wake-up may be lost, so it is repeated
 * with back-off until the agent has started its tasks or has read its whole list. Revocations are repeated until the
 * agent's group has them. Nothing is stored: a new instance continues the timers from the age of the oldest unstarted
 * task, and an agent that misses a revocation learns of it when its report is refused.
 */
import type { RevocationReason } from "../../../contract/socket.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import { earliest } from "../../../domain/deadlines.ts";
import { isHeld, type TaskRecord } from "../../../domain/task.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { Host } from "../../host.ts";
import type { UnitOfWork } from "../../unit-of-work.ts";
import type { TaskCache } from "../tasks/task-cache.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { BackoffTimers } from "./backoff-timers.ts";
import { type Undelivered, UndeliveredRevocations } from "./undelivered-revocations.ts";

export type WakeupsNeeds = {
  host: Pick<Host, "peers" | "log">;
  unit: Pick<UnitOfWork, "afterCommit" | "commit">;
  agents: Pick<AgentRegistry, "find">;
  tasks: Pick<TaskCache, "store" | "unstartedOf">;
};

export class Wakeups {
  readonly #needs: WakeupsNeeds;
  /** Of agents that have not reacted to their wake-up. */
  #timers = new BackoffTimers();
  /** The agents to wake when the current work is committed, with their revocations. */
  #pending = new Map<string, Revocation[]>();
  /** Of committed work only, so a reload keeps them. */
  readonly #undelivered = new UndeliveredRevocations();

  constructor(needs: WakeupsNeeds) {
    this.#needs = needs;
  }

  load(nowMs: number): void {
    this.#timers = new BackoffTimers();
    this.#pending = new Map();
    for (const { agentId, oldestAssignedAtMs } of this.#needs.tasks.store.held.unstartedByAgent()) {
      this.#timers.continue(agentId, oldestAssignedAtMs, nowMs);
    }
  }

  /** The agent's task list changed: the agent is woken once the current work is committed. */
  changed(agentId: string, nowMs: number): void {
    this.#timers.start(agentId, nowMs);
    this.#wakeAfterCommit(agentId);
  }

  /** Tells the task's holder, if there is one, that the current attempt is revoked. @param task before the change */
  revokeAttempt(task: TaskRecord, reason: RevocationReason, nowMs: number): void {
    if (!isHeld(task.status) || task.holder === null) return;
    this.changed(task.holder, nowMs);
    this.#pending.get(task.holder)?.push({ taskId: task.id, attempt: task.attempt, reason });
  }

  /** The agent has started a task. Others may still be unstarted. */
  started(agentId: string): void {
    this.read(agentId, 0);
  }

  /** The agent has read its list. @param unstarted how many unstarted tasks the answer had */
  read(agentId: string, unstarted: number): void {
    if (unstarted === this.#needs.tasks.unstartedOf(agentId)) this.#timers.stop(agentId);
  }

  nextWorkMs(): number | null {
    return earliest(this.#timers.nextWorkMs(), this.#undelivered.nextWorkMs());
  }

  /** Repeats the wake-ups that had no effect, and the revocations that were not delivered. */
  repeatDue(nowMs: number): void {
    for (const agentId of this.#undelivered.due((id) => this.#needs.agents.find(id), nowMs)) {
      this.#wakeAfterCommit(agentId);
    }
    for (const timer of this.#timers.due(nowMs)) {
      if (this.#hasUnstarted(timer.id)) {
        this.#timers.repeat(timer, nowMs);
        this.#wakeAfterCommit(timer.id);
      } else {
        this.#timers.stop(timer.id);
      }
    }
  }

  /** Tasks may also have ended, or moved to another agent, without a report of their start. */
  #hasUnstarted(agentId: string): boolean {
    const agent = this.#needs.agents.find(agentId);
    return agent !== undefined && isLive(agent.status) && this.#needs.tasks.unstartedOf(agentId) > 0;
  }

  /** Once for each agent, however often its list changed. */
  #wakeAfterCommit(agentId: string): void {
    if (this.#pending.size === 0) {
      this.#needs.unit.afterCommit(() => {
        const pending = this.#pending;
        this.#pending = new Map();
        for (const [agent, revoked] of pending) this.#wake(agent, revoked);
      });
    }
    if (!this.#pending.has(agentId)) this.#pending.set(agentId, []);
  }

  #wake(agentId: string, revoked: readonly Revocation[]): void {
    const { host, agents, tasks } = this.#needs;
    const agent = agents.find(agentId);
    if (agent === undefined) return;
    const before = this.#undelivered.take(agent);
    const all = [...(before?.revoked ?? []), ...revoked];
    host.peers
      .wakeAgent(agent.group, {
        agentId,
        assignedTasks: tasks.unstartedOf(agentId),
        ...(all.length === 0 ? {} : { revoked: all }),
      })
      .catch(() => {
        if (all.length > 0) this.#keepUndelivered(agent, all, before);
      })
      .catch((error: unknown) => {
        host.log.line("error", "wakeup_failed", { agent: agentId, error: String(error) });
      });
  }

  /** In a commit, which sets the alarm. */
  #keepUndelivered(
    { id, incarnation }: AgentRecord,
    revoked: readonly Revocation[],
    before: Undelivered | null,
  ): void {
    this.#needs.unit.commit((nowMs) => {
      const agent = this.#needs.agents.find(id);
      if (agent?.incarnation === incarnation) this.#undelivered.add(agent, { revoked, before }, nowMs);
    });
  }
}
