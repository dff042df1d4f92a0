/**
 * Attempts that were taken from agents whose groups could not be told. Kept in memory to be told again with back-off,
 * for an hour or so, as long as the agent lives on in the same incarnation: a later one reads its list anyway.
 */
import { type AgentRecord, isLive } from "../../domain/agent.ts";
import type { Revocation } from "../host.ts";

/** Revocations kept of all agents together; a report of what is beyond them is refused anyway. */
const KEPT = 10_000;

/** The first repetition; each further one comes after twice the time. */
const FIRST_REPEAT_MS = 1000;
const LAST_REPEAT_MS = 3_600_000;

type Agent = Pick<AgentRecord, "id" | "incarnation" | "status">;

/** What one agent is still to be told. */
export type Unheard = {
  incarnation: number;
  revoked: readonly Revocation[];
  atMs: number;
  /** How long after that it is told again. */
  repeatMs: number;
};

export class UnheardRevocations {
  readonly #byAgent = new Map<string, Unheard>();
  #count = 0;

  /** Telling the agent has failed. @param before what of it had failed before, if anything */
  add(agent: Agent, revoked: readonly Revocation[], before: Unheard | null, nowMs: number): void {
    const waitMs = before?.repeatMs ?? FIRST_REPEAT_MS;
    if (waitMs > LAST_REPEAT_MS || !isLive(agent.status)) return;
    const meanwhile = this.take(agent)?.revoked ?? [];
    const all = [...meanwhile, ...revoked].slice(0, KEPT - this.#count);
    if (all.length === 0) return;
    this.#count += all.length;
    const { id, incarnation } = agent;
    this.#byAgent.set(id, { incarnation, revoked: all, atMs: nowMs + waitMs, repeatMs: waitMs * 2 });
  }

  /** Takes out what the agent is still to be told. */
  take(agent: Agent): Unheard | null {
    const unheard = this.#remove(agent.id);
    return unheard !== null && isFor(unheard, agent) ? unheard : null;
  }

  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const { atMs } of this.#byAgent.values()) earliestMs = Math.min(earliestMs ?? atMs, atMs);
    return earliestMs;
  }

  /** Whom to tell again now; nobody twice. @param find an agent as it is now */
  due(find: (agentId: string) => Agent | undefined, nowMs: number): string[] {
    const due: string[] = [];
    for (const [id, unheard] of this.#byAgent) {
      if (unheard.atMs > nowMs) continue;
      const agent = find(id);
      if (agent === undefined || !isFor(unheard, agent)) {
        this.#remove(id);
        continue;
      }
      this.#byAgent.set(id, { ...unheard, atMs: nowMs + unheard.repeatMs });
      due.push(id);
    }
    return due;
  }

  #remove(agentId: string): Unheard | null {
    const unheard = this.#byAgent.get(agentId) ?? null;
    this.#byAgent.delete(agentId);
    this.#count -= unheard?.revoked.length ?? 0;
    return unheard;
  }
}

function isFor({ incarnation }: Unheard, agent: Agent): boolean {
  return agent.incarnation === incarnation && isLive(agent.status);
}
