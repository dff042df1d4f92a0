/**
 * Revoked attempts that could not be delivered to the agent's group. They are kept in memory and repeated with back-off for
 * about an hour, as long as the agent lives in the same incarnation: a later incarnation reads its task list.
 */
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import { BackoffTimers, isLastWait } from "./backoff-timers.ts";

/** Revocations kept of all agents together. An agent that misses one learns of it when its report is refused. */
const KEPT = 10_000;

type Agent = Pick<AgentRecord, "id" | "incarnation" | "status">;

type Kept = { incarnation: number; revoked: readonly Revocation[] };

/** The revocations that one agent has not got yet, and how long the last wait was. */
export type Undelivered = { revoked: readonly Revocation[]; waitedMs: number };

/** @property before what of these had failed before, or null */
export type FailedDelivery = { revoked: readonly Revocation[]; before: Undelivered | null };

export class UndeliveredRevocations {
  readonly #byAgent = new Map<string, Kept>();
  readonly #timers = new BackoffTimers();
  #count = 0;

  /** The delivery to the agent's group failed. */
  add(agent: Agent, { revoked, before }: FailedDelivery, nowMs: number): void {
    if (!isLive(agent.status) || (before !== null && isLastWait(before.waitedMs))) return;
    const addedMeanwhile = this.take(agent)?.revoked ?? [];
    const all = [...addedMeanwhile, ...revoked].slice(0, KEPT - this.#count);
    if (all.length === 0) return;
    const { id, incarnation } = agent;
    if (before === null) this.#timers.start(id, nowMs);
    else this.#timers.repeat({ id, waitedMs: before.waitedMs }, nowMs);
    this.#count += all.length;
    this.#byAgent.set(id, { incarnation, revoked: all });
  }

  /** Removes and returns the revocations that the agent has not got yet. */
  take(agent: Agent): Undelivered | null {
    const kept = this.#byAgent.get(agent.id);
    const waitedMs = this.#remove(agent.id);
    if (kept === undefined || waitedMs === null || !isFor(kept, agent)) return null;
    return { revoked: kept.revoked, waitedMs };
  }

  nextWorkMs(): number | null {
    return this.#timers.nextWorkMs();
  }

  /** The agents whose revocations are to be delivered again now, each once. @param find an agent as it is now */
  due(find: (agentId: string) => Agent | undefined, nowMs: number): string[] {
    const due: string[] = [];
    for (const { id, waitedMs } of this.#timers.due(nowMs)) {
      const agent = find(id);
      const kept = this.#byAgent.get(id);
      if (agent === undefined || kept === undefined || !isFor(kept, agent)) {
        this.#remove(id);
        continue;
      }
      // The timer runs again until `take` removes it.
      this.#timers.wait(id, waitedMs, nowMs);
      due.push(id);
    }
    return due;
  }

  /** @returns how long the wait was, or null if nothing was kept */
  #remove(agentId: string): number | null {
    this.#count -= this.#byAgent.get(agentId)?.revoked.length ?? 0;
    this.#byAgent.delete(agentId);
    return this.#timers.stop(agentId);
  }
}

function isFor({ incarnation }: Kept, agent: Agent): boolean {
  return agent.incarnation === incarnation && isLive(agent.status);
}
