/**
 * The locks of a group, mirrored in memory and written through. A resource has at most one holder at any instant. Fencing
 * tokens come from one counter of the group and only grow.
 */
import {
  ended,
  extendedLock,
  type Grant,
  granted,
  type HeldLock,
  type HowEnded,
  type LockRecord,
  released,
  renewed,
} from "../../../domain/lock.ts";
import { LockStore } from "../../../storage/agent-group/locks.ts";
import { Counter } from "../../../storage/counter.ts";
import type { Sql } from "../../../storage/sql.ts";

/** Released locks are kept this long, so that a repeated release is answered like the first one. */
const RELEASED_KEPT_MS = 3_600_000;

/** Released locks kept at most; the oldest are dropped early. */
const RELEASED_LIMIT = 10_000;

export class LockCache {
  readonly #store: LockStore;
  readonly #tokens: Counter;
  #byResource = new Map<string, LockRecord>();
  #heldBy = new Map<string, Set<string>>();
  #heldCount = 0;
  #earliestExpiryMs: number | null = null;

  constructor(sql: Sql) {
    this.#store = new LockStore(sql);
    this.#tokens = new Counter(sql, "fencing_token");
  }

  load(): void {
    this.#tokens.reload();
    this.#byResource = new Map();
    this.#heldBy = new Map();
    this.#heldCount = 0;
    this.#earliestExpiryMs = null;
    for (const lock of this.#store.all()) this.#add(lock);
  }

  find(resource: string): LockRecord | undefined {
    return this.#byResource.get(resource);
  }

  /** Held locks in the order of their names. */
  held(): LockRecord[] {
    return [...this.#byResource.values()]
      .filter((lock) => lock.holder !== null)
      .sort((a, b) => (a.resource < b.resource ? -1 : 1));
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** In the order of their names. */
  heldBy(agentId: string): LockRecord[] {
    return [...(this.#heldBy.get(agentId) ?? [])].sort().flatMap((resource) => this.find(resource) ?? []);
  }

  heldCountOf(agentId: string): number {
    return this.#heldBy.get(agentId)?.size ?? 0;
  }

  /** Grants a free lock under a new fencing token. */
  grant(draft: Omit<Grant, "fencingToken">, nowMs: number): HeldLock {
    const grant = { ...draft, fencingToken: this.#tokens.take() };
    return this.#save(granted(grant, this.#byResource.get(draft.resource), nowMs));
  }

  renew(lock: LockRecord, ttlMs: number, nowMs: number): LockRecord {
    return this.#save(renewed(lock, ttlMs, nowMs));
  }

  release(lock: HeldLock): LockRecord {
    return this.#save(released(lock));
  }

  end(lock: LockRecord, how: HowEnded, nowMs: number): LockRecord {
    return this.#save(ended(lock, how, nowMs));
  }

  /** Ends all locks of an incarnation that has ended. @returns the names of their resources */
  endAllOf(agentId: string, how: HowEnded, nowMs: number): string[] {
    const resources = [...(this.#heldBy.get(agentId) ?? [])].sort();
    for (const resource of resources) {
      const lock = this.#byResource.get(resource);
      if (lock !== undefined) this.end(lock, how, nowMs);
    }
    return resources;
  }

  /** After an outage of the coordinator that ended at `fromMs`: every holder gets its whole TTL from then. */
  extendAll(fromMs: number): void {
    for (const lock of this.held()) {
      const extended = extendedLock(lock, fromMs);
      if (extended !== lock) this.#save(extended);
    }
  }

  expired(nowMs: number): LockRecord[] {
    return [...this.#byResource.values()].filter(
      (lock) => lock.expiresAtMs !== null && lock.expiresAtMs <= nowMs,
    );
  }

  /** The earliest instant at which a TTL could end; may be too early, never too late. */
  get earliestExpiryMs(): number | null {
    return this.#earliestExpiryMs;
  }

  /** Finds the true earliest expiry; the alarm does this when it runs. */
  recompute(): void {
    this.#earliestExpiryMs = null;
    for (const lock of this.#byResource.values()) this.#includeExpiry(lock);
  }

  get shortestTtlMs(): number | null {
    let shortestMs: number | null = null;
    for (const lock of this.#byResource.values()) {
      if (lock.holder !== null && (shortestMs === null || lock.ttlMs < shortestMs)) shortestMs = lock.ttlMs;
    }
    return shortestMs;
  }

  /** Drops a slice of the released locks whose time to be kept has passed, or which are too many. */
  sweep(nowMs: number, limit: number): void {
    const surplus = this.#byResource.size - this.#heldCount - RELEASED_LIMIT;
    let dropped = 0;
    for (const lock of this.#byResource.values()) {
      if (dropped >= limit) return;
      if (lock.holder !== null || (lock.grantableAtMs ?? 0) > nowMs) continue;
      if (nowMs - lock.acquiredAtMs < lock.ttlMs + RELEASED_KEPT_MS && dropped >= surplus) continue;
      this.#store.remove(lock.resource);
      this.#byResource.delete(lock.resource);
      dropped += 1;
    }
  }

  #save<Saved extends LockRecord>(lock: Saved): Saved {
    this.#store.save(lock);
    this.#remove(lock.resource);
    this.#add(lock);
    return lock;
  }

  #includeExpiry({ expiresAtMs }: LockRecord): void {
    if (expiresAtMs === null) return;
    this.#earliestExpiryMs = Math.min(this.#earliestExpiryMs ?? expiresAtMs, expiresAtMs);
  }

  #add(lock: LockRecord): void {
    this.#byResource.set(lock.resource, lock);
    this.#includeExpiry(lock);
    if (lock.holder === null) return;
    this.#heldCount += 1;
    const held = this.#heldBy.get(lock.holder) ?? new Set();
    held.add(lock.resource);
    this.#heldBy.set(lock.holder, held);
  }

  #remove(resource: string): void {
    const lock = this.#byResource.get(resource);
    // Deleted first, so that the map's order is that of the last change and a sweep begins with the oldest.
    this.#byResource.delete(resource);
    if (lock?.holder == null) return;
    this.#heldCount -= 1;
    const held = this.#heldBy.get(lock.holder);
    held?.delete(resource);
    if (held?.size === 0) this.#heldBy.delete(lock.holder);
  }
}
