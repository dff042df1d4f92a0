/**
 * Runs a function while a lock is held. The agent's own monotonic clock decides how long a grant counts: from the time
 * of the last successful call, and for less than the TTL, so that the agent stops before the coordinator can grant the
 * lock to another. A lock also ends with the incarnation that holds it.
 */
import { linkedAbort, sleep } from "../cancellation.ts";
import { LockHeldError, LockLostError } from "../errors.ts";
import { isTransient } from "../retry.ts";
import { type Grant, LockClient, type LockRequest, RENEWALS_PER_TTL } from "./lock-client.ts";
import type { Session } from "./session.ts";

export type LockOptions = {
  /** Seconds that a grant lasts unless renewed, 0.1 to 86,400. Default 30. */
  ttlSeconds?: number | undefined;
  /** Longest wait for the lock. Default 30; 0: do not wait. */
  waitSeconds?: number | undefined;
  /** Ends the wait and leaves the queue; later, aborts the `signal` of the function. */
  signal?: AbortSignal | undefined;
};

type WhileHeld<Value> = (fencingToken: number, signal: AbortSignal) => Promise<Value> | Value;

/** The last part of a TTL, left for stopping in time and for clocks that run at different speeds. */
const SAFETY_MARGIN = 0.1;

export class LockService {
  readonly #agentId: string;
  readonly #session: Session;
  readonly #client: LockClient;
  /** To the coordinator all tasks of this agent are one holder, so they queue here. The last caller, by resource. */
  readonly #queues = new Map<string, Promise<unknown>>();
  /** Functions that run with a lock at present. */
  readonly #running = new Set<Promise<unknown>>();

  constructor(session: Session, agentId: string, group: string) {
    this.#agentId = agentId;
    this.#session = session;
    this.#client = new LockClient(session, agentId, group);
  }

  /** Resolves when no function runs with a lock any more. */
  async allSettled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  async hold<Value>(
    resource: string,
    use: WhileHeld<Value>,
    { ttlSeconds = 30, waitSeconds = 30, signal }: LockOptions,
  ): Promise<Value> {
    const request = { resource, ttlSeconds, untilMs: performance.now() + waitSeconds * 1000 };
    const previous = this.#queues.get(resource);
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    // A caller that gives up leaves before the one in front of it, so the next caller waits for both.
    const tail = Promise.all([previous, left]);
    this.#queues.set(resource, tail);
    void tail.then(() => {
      if (this.#queues.get(resource) === tail) this.#queues.delete(resource);
    });
    try {
      const running = this.#use(use, await this.#acquire(request, previous, signal), signal);
      this.#running.add(running);
      return await running.finally(() => this.#running.delete(running));
    } finally {
      leave();
    }
  }

  /** Waits in the queue of this agent, then in the queue of the coordinator. */
  async #acquire(
    request: LockRequest,
    previous: Promise<unknown> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Grant> {
    // An agent that stops ends all waits.
    const wait = linkedAbort(signal, this.#session.stopped);
    try {
      if (previous !== undefined) await this.#waitForTurn(request, previous, wait.signal);
      return await this.#client.acquire(request, wait.signal);
    } finally {
      wait.dispose();
    }
  }

  async #waitForTurn(
    { resource, untilMs }: LockRequest,
    previous: Promise<unknown>,
    signal: AbortSignal,
  ): Promise<void> {
    const wait = linkedAbort(signal);
    const timeout = sleep(untilMs - performance.now(), wait.signal).then(() => "timeout");
    const first = await Promise.race([previous, timeout]);
    wait.abort();
    wait.dispose();
    signal.throwIfAborted();
    if (first !== "timeout") return;
    const detail = `${resource} is held by another task of this agent`;
    throw new LockHeldError(409, { code: "lock_held", detail, holder: this.#agentId });
  }

  async #use<Value>(use: WhileHeld<Value>, grant: Grant, signal?: AbortSignal): Promise<Value> {
    const held = linkedAbort(signal);
    const done = new AbortController();
    const { lifetime, incarnation } = this.#session;
    const lose = () =>
      held.abort(new LockLostError(`${grant.lock.resource}: the agent's incarnation has ended`));
    if (lifetime.aborted || grant.lock.incarnation !== incarnation) lose();
    lifetime.addEventListener("abort", lose);
    const renewing = this.#keepRenewed(grant, held, done.signal);
    try {
      held.signal.throwIfAborted();
      const value = await use(grant.lock.fencing_token, held.signal);
      if (held.signal.reason instanceof LockLostError) throw held.signal.reason;
      return value;
    } finally {
      done.abort();
      held.dispose();
      lifetime.removeEventListener("abort", lose);
      await renewing;
      await this.#client.release(grant.lock);
    }
  }

  /** Renews the lock until `done`; aborts `held` when the lock is lost, or may be lost for want of a renewal. */
  async #keepRenewed(
    { lock, confirmedAtMs }: Grant,
    held: AbortController,
    done: AbortSignal,
  ): Promise<void> {
    const ttlMs = lock.ttl_seconds * 1000;
    let expiryTimer: ReturnType<typeof setTimeout> | undefined;
    const lose = (why: string) => held.abort(new LockLostError(`${lock.resource}: ${why}`));
    const restartExpiry = (sentAtMs: number) => {
      clearTimeout(expiryTimer);
      const leftMs = sentAtMs + ttlMs * (1 - SAFETY_MARGIN) - performance.now();
      expiryTimer = setTimeout(() => lose("not renewed in time"), leftMs);
    };
    restartExpiry(confirmedAtMs);
    let pauseMs = confirmedAtMs + ttlMs / RENEWALS_PER_TTL - performance.now();
    while (!done.aborted && !held.signal.aborted) {
      await sleep(pauseMs, done);
      if (done.aborted || held.signal.aborted) break;
      const sentAtMs = performance.now();
      try {
        await this.#client.renew(lock, { signal: done, timeoutSeconds: lock.ttl_seconds / RENEWALS_PER_TTL });
        restartExpiry(sentAtMs);
        pauseMs = sentAtMs + ttlMs / RENEWALS_PER_TTL - performance.now();
      } catch (error) {
        if (done.aborted) break;
        if (!isTransient(error)) lose(error instanceof Error ? error.message : "refused");
        pauseMs = ttlMs / (RENEWALS_PER_TTL * 10);
      }
    }
    clearTimeout(expiryTimer);
  }
}
