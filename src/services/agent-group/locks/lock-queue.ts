/**
 * The queues for the locks of a group, mirrored in memory and written through. Each is first in, first out. An agent has
 * one position in each queue, and keeps it when it asks again.
 */
import { extendedWaiter, type LockWaiter, requeued } from "../../../domain/lock.ts";
import { LockWaiterStore } from "../../../storage/agent-group/lock-waiters.ts";
import type { Sql } from "../../../storage/sql.ts";

/** A wait that grows by less is not worth a row: waiting calls ask again within milliseconds. */
const WORTH_STORING_MS = 1000;

export type WaiterDraft = Omit<LockWaiter, "position" | "endsAtMs" | "extensions">;

export class LockQueue {
  readonly #store: LockWaiterStore;
  /** By resource, then by agent, in order. */
  #queues = new Map<string, Map<string, LockWaiter>>();
  #resourcesOf = new Map<string, Set<string>>();
  #count = 0;
  #nextPosition = 1;

  constructor(sql: Sql) {
    this.#store = new LockWaiterStore(sql);
  }

  load(): void {
    this.#queues = new Map();
    this.#resourcesOf = new Map();
    this.#count = 0;
    this.#nextPosition = 1;
    for (const waiter of this.#store.all()) {
      this.#add(waiter);
      this.#nextPosition = waiter.position + 1;
    }
  }

  /** Waiters in all queues of the group. */
  get count(): number {
    return this.#count;
  }

  /** The number of locks that the agent waits for. */
  countOf(agentId: string): number {
    return this.#resourcesOf.get(agentId)?.size ?? 0;
  }

  lengthOf(resource: string): number {
    return this.#queues.get(resource)?.size ?? 0;
  }

  /** The resources whose queue is not empty. */
  resources(): string[] {
    return [...this.#queues.keys()];
  }

  /** The queue of a lock, in order. */
  waiters(resource: string): LockWaiter[] {
    return [...(this.#queues.get(resource)?.values() ?? [])];
  }

  head(resource: string): LockWaiter | undefined {
    return this.#queues.get(resource)?.values().next().value;
  }

  find(resource: string, agentId: string): LockWaiter | undefined {
    return this.#queues.get(resource)?.get(agentId);
  }

  /** What the agent waits for. */
  waitsOf(agentId: string): LockWaiter[] {
    return [...(this.#resourcesOf.get(agentId) ?? [])].flatMap(
      (resource) => this.find(resource, agentId) ?? [],
    );
  }

  /** Adds an agent that is not in the queue. */
  join(draft: WaiterDraft, nowMs: number): LockWaiter {
    const position = this.#nextPosition++;
    const waiter = { ...draft, position, endsAtMs: nowMs + draft.waitMs, extensions: 0 };
    this.#store.save(waiter);
    this.#add(waiter);
    return waiter;
  }

  /** The agent asks again: the position stays, and the wait is prolonged. */
  requeue(waiter: LockWaiter, draft: WaiterDraft, nowMs: number): LockWaiter {
    const next = requeued(waiter, draft, nowMs);
    const isWorthStoring =
      next.endsAtMs - waiter.endsAtMs >= WORTH_STORING_MS ||
      next.ttlMs !== waiter.ttlMs ||
      next.requestId !== waiter.requestId;
    if (isWorthStoring) this.#store.save(next);
    this.#replace(next);
    return next;
  }

  leave({ position, resource, agentId }: LockWaiter): void {
    this.#store.remove(position);
    const queue = this.#queues.get(resource);
    if (queue?.delete(agentId) !== true) return;
    this.#count -= 1;
    if (queue.size === 0) this.#queues.delete(resource);
    const resources = this.#resourcesOf.get(agentId);
    resources?.delete(resource);
    if (resources?.size === 0) this.#resourcesOf.delete(agentId);
  }

  /** After an outage of the coordinator that ended at `fromMs`: every waiter gets its whole wait from then. */
  extendAll(fromMs: number): void {
    for (const waiter of this.#all()) {
      const extended = extendedWaiter(waiter, fromMs);
      if (extended === waiter) continue;
      this.#store.save(extended);
      this.#replace(extended);
    }
  }

  /** Waiters whose wait has ended. */
  overdue(nowMs: number): LockWaiter[] {
    return this.#all().filter(({ endsAtMs }) => endsAtMs <= nowMs);
  }

  get earliestEndMs(): number | null {
    let earliestMs: number | null = null;
    for (const { endsAtMs } of this.#all()) earliestMs = Math.min(earliestMs ?? endsAtMs, endsAtMs);
    return earliestMs;
  }

  #all(): LockWaiter[] {
    return [...this.#queues.values()].flatMap((queue) => [...queue.values()]);
  }

  #add(waiter: LockWaiter): void {
    this.#count += 1;
    const queue = this.#queues.get(waiter.resource) ?? new Map<string, LockWaiter>();
    this.#queues.set(waiter.resource, queue.set(waiter.agentId, waiter));
    const resources = this.#resourcesOf.get(waiter.agentId) ?? new Set();
    this.#resourcesOf.set(waiter.agentId, resources.add(waiter.resource));
  }

  /** In the same position: a map keeps the order of its keys. */
  #replace(waiter: LockWaiter): void {
    this.#queues.get(waiter.resource)?.set(waiter.agentId, waiter);
  }
}
