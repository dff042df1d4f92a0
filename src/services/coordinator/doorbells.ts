/**
 * Telling agents that their task list changed, and which attempts were taken from them. A
 * doorbell may be lost, so it is repeated with back-off until the agent has started its tasks or reads
 * its list; what was taken is said until the group has heard it. Nothing is
 * stored: after a restart every agent with unstarted tasks is told again, at the pace of how
 * long they have waited, and of what was taken only a refused report tells.
 */
import { type AgentRecord, isLive } from "../../domain/agent.ts";
import { earliest } from "../earliest.ts";
import type { Host, Revocation } from "../host.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Roster } from "./roster.ts";
import type { TaskBook } from "./task-book.ts";
import { type Unheard, UnheardRevocations } from "./unheard-revocations.ts";

/** The first repetition; each further one comes after twice the time. */
const FIRST_REPEAT_MS = 1000;

/** An hour: by then the agent reads its list or is gone. */
const LAST_REPEAT_MS = 3_600_000;

export class Doorbells {
  readonly #host: Host;
  readonly #unit: UnitOfWork;
  readonly #roster: Roster;
  readonly #tasks: TaskBook;
  /** When each unanswered bell is rung next, and how long after that again. */
  #due = new Map<string, { atMs: number; repeatMs: number }>();
  /** Whom the present work rings when it is committed, with what was taken from each. */
  #ringing = new Map<string, Revocation[]>();
  /** Of committed work alone, so it outlives a reading anew. */
  readonly #unheard = new UnheardRevocations();

  constructor(host: Host, unit: UnitOfWork, roster: Roster, tasks: TaskBook) {
    this.#host = host;
    this.#unit = unit;
    this.#roster = roster;
    this.#tasks = tasks;
  }

  load(nowMs: number): void {
    this.#due = new Map();
    this.#ringing = new Map();
    for (const { agentId, oldestAssignedAtMs } of this.#tasks.store.unstartedByAgent()) {
      const waitedMs = Math.max(FIRST_REPEAT_MS, nowMs - oldestAssignedAtMs);
      this.#schedule(agentId, nowMs + waitedMs, waitedMs * 2);
    }
  }

  /** The agent's list changed: rings once the present work is committed. */
  changed(agentId: string, nowMs: number): void {
    this.#schedule(agentId, nowMs + FIRST_REPEAT_MS, FIRST_REPEAT_MS * 2);
    this.#ringAfterCommit(agentId);
  }

  /** An attempt was taken from the agent. */
  revoked(agentId: string, revocation: Revocation, nowMs: number): void {
    this.changed(agentId, nowMs);
    this.#ringing.get(agentId)?.push(revocation);
  }

  /** The agent has read its list. */
  answered(agentId: string): void {
    this.#due.delete(agentId);
  }

  /** The agent has started a task. What its bell rang for may be another. */
  started(agentId: string): void {
    if (this.#tasks.unstartedOf(agentId) === 0) this.answered(agentId);
  }

  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const { atMs } of this.#due.values()) earliestMs = Math.min(earliestMs ?? atMs, atMs);
    return earliest(earliestMs, this.#unheard.nextWorkMs());
  }

  /** Repeats the bells that were not answered, and the revocations that were not heard. */
  repeatDue(nowMs: number): void {
    for (const agentId of this.#unheard.due((id) => this.#roster.find(id), nowMs)) {
      this.#ringAfterCommit(agentId);
    }
    for (const [agentId, { atMs, repeatMs }] of this.#due) {
      if (atMs > nowMs) continue;
      this.#due.delete(agentId);
      const agent = this.#roster.find(agentId);
      if (agent === undefined || !isLive(agent.status)) continue;
      this.#schedule(agentId, nowMs + repeatMs, repeatMs * 2);
      this.#ringAfterCommit(agentId);
    }
  }

  #schedule(agentId: string, atMs: number, repeatMs: number): void {
    if (repeatMs <= LAST_REPEAT_MS) this.#due.set(agentId, { atMs, repeatMs });
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
      .ringDoorbell(agent.group, {
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
    before: Unheard | null,
  ): void {
    this.#unit.commit((nowMs) => {
      const agent = this.#roster.find(id);
      if (agent?.incarnation === incarnation) this.#unheard.add(agent, revoked, before, nowMs);
    });
  }
}
