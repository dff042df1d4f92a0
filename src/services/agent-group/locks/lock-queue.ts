/**
 * The lines for the locks of a group, mirrored in memory and written through: who waits for what, in the order
 * in which they came. An agent has one place in each line; asking again keeps it.
 */
import { extendedWaiter, type LockWaiter, requeued } from "../../../domain/lock.ts";
import { LockWaiterStore } from "../../../storage/agent-group/lock-waiters.ts";
import type { Sql } from "../../../storage/sql.ts";

/** A wait that is prolonged by less is not worth a row: calls that ask again do so within milliseconds. */
const WORTH_STORING_MS = 1000;

export type WaiterDraft = Omit<LockWaiter, "position" | "endsAtMs" | "extensions">;

export class LockQueue {
  readonly #store: LockWaiterStore;
  /** By resource, then by agent, in order. */
  #lines = new Map<string, Map<string, LockWaiter>>();
  #resourcesOf = new Map<string, Set<string>>();
  #count = 0;
  #nextNumber = 1;

  constructor(sql: Sql) {
    this.#store = new LockWaiterStore(sql);
  }

  load(): void {
    this.#lines = new Map();
    this.#resourcesOf = new Map();
    this.#count = 0;
    this.#nextNumber = 1;
    for (const waiter of this.#store.all()) {
      this.#remember(waiter);
      this.#nextNumber = waiter.position + 1;
    }
  }

  /** Of the whole group. */
  get count(): number {
    return this.#count;
  }

  countOf(agentId: string): number {
    return this.#resourcesOf.get(agentId)?.size ?? 0;
  }

  lengthOf(resource: string): number {
    return this.#lines.get(resource)?.size ?? 0;
  }

  /** The resources that somebody waits for. */
  resources(): string[] {
    return [...this.#lines.keys()];
  }

  /** Who waits, in order. */
  waiters(resource: string): LockWaiter[] {
    return [...(this.#lines.get(resource)?.values() ?? [])];
  }

  head(resource: string): LockWaiter | undefined {
    return this.#lines.get(resource)?.values().next().value;
  }

  find(resource: string, agentId: string): LockWaiter | undefined {
    return this.#lines.get(resource)?.get(agentId);
  }

  positionsOf(agentId: string): LockWaiter[] {
    return [...(this.#resourcesOf.get(agentId) ?? [])].flatMap(
      (resource) => this.find(resource, agentId) ?? [],
    );
  }

  join(draft: WaiterDraft, nowMs: number): LockWaiter {
    const number = this.#nextNumber++;
    const waiter = { ...draft, position: number, endsAtMs: nowMs + draft.waitMs, extensions: 0 };
    this.#store.save(waiter);
    this.#remember(waiter);
    return waiter;
  }

  /** It asks again, and keeps its place. */
  stay(waiter: LockWaiter, draft: WaiterDraft, nowMs: number): LockWaiter {
    const next = requeued(waiter, draft, nowMs);
    const isWorthStoring =
      next.endsAtMs - waiter.endsAtMs >= WORTH_STORING_MS ||
      next.ttlMs !== waiter.ttlMs ||
      next.requestId !== waiter.requestId;
    if (isWorthStoring) this.#store.save(next);
    this.#replace(next);
    return next;
  }

  leave({ position: number, resource, agentId }: LockWaiter): void {
    this.#store.remove(number);
    const line = this.#lines.get(resource);
    if (line?.delete(agentId) !== true) return;
    this.#count -= 1;
    if (line.size === 0) this.#lines.delete(resource);
    const resources = this.#resourcesOf.get(agentId);
    resources?.delete(resource);
    if (resources?.size === 0) this.#resourcesOf.delete(agentId);
  }

  /** After a pause of ours that ended at `fromMs`: everybody gets the whole wait from then. */
  extendAll(fromMs: number): void {
    for (const waiter of this.#all()) {
      const credited = extendedWaiter(waiter, fromMs);
      if (credited === waiter) continue;
      this.#store.save(credited);
      this.#replace(credited);
    }
  }

  /** Whose wait is over. */
  overdue(nowMs: number): LockWaiter[] {
    return this.#all().filter(({ endsAtMs }) => endsAtMs <= nowMs);
  }

  get earliestEndMs(): number | null {
    let earliestMs: number | null = null;
    for (const { endsAtMs } of this.#all()) earliestMs = Math.min(earliestMs ?? endsAtMs, endsAtMs);
    return earliestMs;
  }

  #all(): LockWaiter[] {
    return [...this.#lines.values()].flatMap((line) => [...line.values()]);
  }

  #remember(waiter: LockWaiter): void {
    this.#count += 1;
    const line = this.#lines.get(waiter.resource) ?? new Map();
    this.#lines.set(waiter.resource, line.set(waiter.agentId, waiter));
    const resources = this.#resourcesOf.get(waiter.agentId) ?? new Set();
    this.#resourcesOf.set(waiter.agentId, resources.add(waiter.resource));
  }

  /** In the same place: a map keeps the order of its keys. */
  #replace(waiter: LockWaiter): void {
    this.#lines.get(waiter.resource)?.set(waiter.agentId, waiter);
  }
}
