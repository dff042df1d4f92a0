/**
 * Telling agents that their task list changed, and which attempts were taken from them. A
 * doorbell may be lost, so it is repeated with back-off until the agent has started its tasks or read
 * of them all; what was taken is said until the group has heard it. Nothing is
 * stored: after a start the repetitions go on at the pace of how long the tasks have waited, and of what was
 * taken only a refused report tells.
 */
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import { earliest } from "../../../domain/deadlines.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { Host } from "../../host.ts";
import type { UnitOfWork } from "../../unit-of-work.ts";
import type { TaskCache } from "../tasks/task-cache.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { BackoffTimers } from "./backoff-timers.ts";
import { type Undelivered, UndeliveredRevocations } from "./undelivered-revocations.ts";

export class Wakeups {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #roster: AgentRegistry;
  readonly #tasks: TaskCache;
  /** Of the bells that were not answered. */
  #repetitions = new BackoffTimers();
  /** Whom the present work rings when it is committed, with what was taken from each. */
  #ringing = new Map<string, Revocation[]>();
  /** Of committed work alone, so it outlives a reading anew. */
  readonly #unheard = new UndeliveredRevocations();

  constructor(host: Host, unit: UnitOfWork, roster: AgentRegistry, tasks: TaskCache) {
    this.#host = host;
    this.#unit = unit;
    this.#roster = roster;
    this.#tasks = tasks;
  }

  load(nowMs: number): void {
    this.#repetitions = new BackoffTimers();
    this.#ringing = new Map();
    for (const { agentId, oldestAssignedAtMs } of this.#tasks.store.unstartedByAgent()) {
      this.#repetitions.takeUp(agentId, oldestAssignedAtMs, nowMs);
    }
  }

  /** The agent's list changed: rings once the present work is committed. */
  changed(agentId: string, nowMs: number): void {
    this.#repetitions.begin(agentId, nowMs);
    this.#ringAfterCommit(agentId);
  }

  /** An attempt was taken from the agent. */
  revoked(agentId: string, revocation: Revocation, nowMs: number): void {
    this.changed(agentId, nowMs);
    this.#ringing.get(agentId)?.push(revocation);
  }

  /** The agent has started a task. What its bell rang for may be another. */
  started(agentId: string): void {
    this.read(agentId, 0);
  }

  /** The agent has read its list. @param unstarted how many tasks that it has not started it was shown */
  read(agentId: string, unstarted: number): void {
    if (unstarted === this.#tasks.unstartedOf(agentId)) this.#repetitions.end(agentId);
  }

  nextWorkMs(): number | null {
    return earliest(this.#repetitions.nextWorkMs(), this.#unheard.nextWorkMs());
  }

  /** Repeats the bells that were not answered, and the revocations that were not heard. */
  repeatDue(nowMs: number): void {
    for (const agentId of this.#unheard.due((id) => this.#roster.find(id), nowMs)) {
      this.#ringAfterCommit(agentId);
    }
    for (const { id, waitedMs } of this.#repetitions.due(nowMs)) {
      if (this.#isWaitedFor(id)) {
        this.#repetitions.goOn(id, waitedMs, nowMs);
        this.#ringAfterCommit(id);
      } else {
        this.#repetitions.end(id);
      }
    }
  }

  /** Its tasks may also have ended, or gone elsewhere, with no word of their start. */
  #isWaitedFor(agentId: string): boolean {
    const agent = this.#roster.find(agentId);
    return agent !== undefined && isLive(agent.status) && this.#tasks.unstartedOf(agentId) > 0;
  }

  /** Once for each agent, whatever was done to its list. */
  #ringAfterCommit(agentId: string): void {
    if (this.#ringing.size === 0) {
      this.#unit.afterCommit(() => {
        const ringing = this.#ringing;
        this.#ringing = new Map();
        for (const [agent, revoked] of ringing) this.#ring(agent, revoked);
      });
    }
    if (!this.#ringing.has(agentId)) this.#ringing.set(agentId, []);
  }

  #ring(agentId: string, revoked: readonly Revocation[]): void {
    const agent = this.#roster.find(agentId);
    if (agent === undefined) return;
    const unheard = this.#unheard.take(agent);
    const all = [...(unheard?.revoked ?? []), ...revoked];
    this.#host.peers
      .wakeAgent(agent.group, {
        agentId,
        assignedTasks: this.#tasks.unstartedOf(agentId),
        ...(all.length === 0 ? {} : { revoked: all }),
      })
      .catch(() => {
        if (all.length > 0) this.#keepUnheard(agent, all, unheard);
      })
      .catch((error: unknown) => {
        this.#host.log.line("error", "doorbell_failed", { agent: agentId, error: String(error) });
      });
  }

  /** In a commit, which sets the alarm. */
  #keepUnheard(
    { id, incarnation }: AgentRecord,
    revoked: readonly Revocation[],
    before: Undelivered | null,
  ): void {
    this.#unit.commit((nowMs) => {
      const agent = this.#roster.find(id);
      if (agent?.incarnation === incarnation) this.#unheard.add(agent, revoked, before, nowMs);
    });
  }
}
