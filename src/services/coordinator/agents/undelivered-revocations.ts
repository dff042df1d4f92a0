/**
 * Attempts that were taken from agents whose groups could not be told. Kept in memory to be told again with back-off,
 * for an hour or so, as long as the agent lives on in the same incarnation: a later one reads its list anyway.
 */
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import { BackoffTimers, isLastWait } from "./backoff-timers.ts";

/** Revocations kept of all agents together; a report of what is beyond them is refused anyway. */
const KEPT = 10_000;

type Agent = Pick<AgentRecord, "id" | "incarnation" | "status">;

type Kept = { incarnation: number; revoked: readonly Revocation[] };

/** What one agent is told again, and how long that was waited for. */
export type Undelivered = { revoked: readonly Revocation[]; waitedMs: number };

export class UndeliveredRevocations {
  readonly #byAgent = new Map<string, Kept>();
  readonly #repetitions = new BackoffTimers();
  #count = 0;

  /** Telling the agent has failed. @param before what of it had failed before, if anything */
  add(agent: Agent, revoked: readonly Revocation[], before: Undelivered | null, nowMs: number): void {
    if (!isLive(agent.status) || (before !== null && isLastWait(before.waitedMs))) return;
    const meanwhile = this.take(agent)?.revoked ?? [];
    const all = [...meanwhile, ...revoked].slice(0, KEPT - this.#count);
    if (all.length === 0) return;
    const { id, incarnation } = agent;
    if (before === null) this.#repetitions.begin(id, nowMs);
    else this.#repetitions.goOn(id, before.waitedMs, nowMs);
    this.#count += all.length;
    this.#byAgent.set(id, { incarnation, revoked: all });
  }

  /** Takes out what the agent is still to be told. */
  take(agent: Agent): Undelivered | null {
    const kept = this.#byAgent.get(agent.id);
    const waitedMs = this.#remove(agent.id);
    if (kept === undefined || waitedMs === null || !isFor(kept, agent)) return null;
    return { revoked: kept.revoked, waitedMs };
  }

  nextWorkMs(): number | null {
    return this.#repetitions.nextWorkMs();
  }

  /** Whom to tell again now; nobody twice. @param find an agent as it is now */
  due(find: (agentId: string) => Agent | undefined, nowMs: number): string[] {
    const due: string[] = [];
    for (const { id, waitedMs } of this.#repetitions.due(nowMs)) {
      const agent = find(id);
      const kept = this.#byAgent.get(id);
      if (agent === undefined || kept === undefined || !isFor(kept, agent)) {
        this.#remove(id);
        continue;
      }
      // Until it is taken out to be told.
      this.#repetitions.wait(id, waitedMs, nowMs);
      due.push(id);
    }
    return due;
  }

  /** @returns how long the wait was, or null if nothing was kept */
  #remove(agentId: string): number | null {
    this.#count -= this.#byAgent.get(agentId)?.revoked.length ?? 0;
    this.#byAgent.delete(agentId);
    return this.#repetitions.end(agentId);
  }
}

function isFor({ incarnation }: Kept, agent: Agent): boolean {
  return agent.incarnation === incarnation && isLive(agent.status);
}
