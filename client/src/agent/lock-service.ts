/**
 * Holding a lock while something is done. The holder's own monotonic clock decides how long it may believe in its
 * lock: counted from when it last asked with success, so that it gives up before the TTL has passed. A lock ends with
 * the incarnation that holds it, and so does the belief in it.
 */

import { linked, sleep } from "../cancellation.ts";
import { LockHeldError, LockLostError } from "../errors.ts";
import { isWorthRepeating } from "../http.ts";
import { type Grant, LockCalls, RENEWALS_PER_TTL } from "./lock-client.ts";
import type { Session } from "./session.ts";

export type LockOptions = {
  /** Seconds that a grant lasts unless renewed, 0.1 to 86,400. Default 30. */
  ttlSeconds?: number | undefined;
  /** How long to wait for it. Default 30; 0: not at all. */
  waitSeconds?: number | undefined;
  /** Ends the waiting, at once and for the coordinator too, and aborts the `signal` of who holds it. */
  signal?: AbortSignal | undefined;
};

type Use<Value> = (fencingToken: number, signal: AbortSignal) => Promise<Value> | Value;

/** The last part of a TTL is for giving up in time, and for clocks that run unequally. */
const MARGIN = 0.1;

export class LockService {
  readonly #agentId: string;
  readonly #session: Session;
  readonly #calls: LockCalls;
  /** The coordinator knows one holder, this agent: its own tasks queue here. */
  readonly #lines = new Map<string, Promise<unknown>>();
  /** What is done with a lock at present. */
  readonly #uses = new Set<Promise<unknown>>();

  constructor(session: Session, agentId: string, group: string) {
    this.#agentId = agentId;
    this.#session = session;
    this.#calls = new LockCalls(session, agentId, group);
  }

  /** Resolves when nothing more is done with a lock. */
  async allSettled(): Promise<void> {
    await Promise.allSettled(this.#uses);
  }

  async hold<Value>(
    resource: string,
    use: Use<Value>,
    { ttlSeconds = 30, waitSeconds = 30, signal }: LockOptions,
  ): Promise<Value> {
    const untilMs = performance.now() + waitSeconds * 1000;
    const before = this.#lines.get(resource);
    let leave = () => {};
    const mine = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const line = Promise.all([before, mine]);
    this.#lines.set(resource, line);
    // Not when this one leaves: another may hold the lock still, and whoever comes has to wait for that.
    void line.then(() => {
      if (this.#lines.get(resource) === line) this.#lines.delete(resource);
    });
    try {
      const used = this.#use(use, await this.#grant(resource, ttlSeconds, before, untilMs, signal), signal);
      this.#uses.add(used);
      return await used.finally(() => this.#uses.delete(used));
    } finally {
      leave();
    }
  }

  /** Waits for its turn, here and at the coordinator. */
  async #grant(
    resource: string,
    ttlSeconds: number,
    before: Promise<unknown> | undefined,
    untilMs: number,
    signal?: AbortSignal,
  ): Promise<Grant> {
    // An agent that stops waits for nothing any more.
    const wait = linked(signal, this.#session.over.signal);
    try {
      await this.#turn(resource, before, untilMs, wait.signal);
      return await this.#calls.acquire(resource, ttlSeconds, untilMs, wait.signal);
    } finally {
      wait.dispose();
    }
  }

  async #turn(resource: string, before: Promise<unknown> | undefined, untilMs: number, signal: AbortSignal) {
    if (before === undefined) return;
    const wait = linked(signal);
    const late = sleep(untilMs - performance.now(), wait.signal).then(() => "late");
    const turn = await Promise.race([before, late]);
    wait.abort();
    wait.dispose();
    signal.throwIfAborted();
    if (turn !== "late") return;
    const detail = `${resource} is held by another task of this agent`;
    throw new LockHeldError(409, { code: "lock_held", detail, holder: this.#agentId });
  }

  async #use<Value>(use: Use<Value>, grant: Grant, signal?: AbortSignal): Promise<Value> {
    const held = linked(signal);
    const done = new AbortController();
    const { life, incarnation } = this.#session;
    const die = () =>
      held.abort(new LockLostError(`${grant.lock.resource}: this agent's incarnation is over`));
    if (life.aborted || grant.lock.incarnation !== incarnation) die();
    life.addEventListener("abort", die);
    const renewing = this.#keep(grant, held, done.signal);
    try {
      held.signal.throwIfAborted();
      const value = await use(grant.lock.fencing_token, held.signal);
      if (held.signal.reason instanceof LockLostError) throw held.signal.reason;
      return value;
    } finally {
      done.abort();
      held.dispose();
      life.removeEventListener("abort", die);
      await renewing;
      await this.#calls.release(grant.lock);
    }
  }

  /** Renews until it is done with; aborts `held` when the lock is lost or can no longer be believed in. */
  async #keep({ lock, sureAtMs }: Grant, held: AbortController, done: AbortSignal): Promise<void> {
    const ttlMs = lock.ttl_seconds * 1000;
    let doubt: ReturnType<typeof setTimeout> | undefined;
    const lose = (why: string) => held.abort(new LockLostError(`${lock.resource}: ${why}`));
    const believe = (askedAtMs: number) => {
      clearTimeout(doubt);
      const leftMs = askedAtMs + ttlMs * (1 - MARGIN) - performance.now();
      doubt = setTimeout(() => lose("not renewed in time"), leftMs);
    };
    believe(sureAtMs);
    let pauseMs = sureAtMs + ttlMs / RENEWALS_PER_TTL - performance.now();
    while (!done.aborted && !held.signal.aborted) {
      await sleep(pauseMs, done);
      if (done.aborted || held.signal.aborted) break;
      const askedAtMs = performance.now();
      try {
        await this.#calls.renew(lock, { signal: done, timeoutSeconds: lock.ttl_seconds / RENEWALS_PER_TTL });
        believe(askedAtMs);
        pauseMs = askedAtMs + ttlMs / RENEWALS_PER_TTL - performance.now();
      } catch (error) {
        if (done.aborted) break;
        // A lock ends with the incarnation that held it.
        if (!isWorthRepeating(error)) lose(error instanceof Error ? error.message : "refused");
        pauseMs = ttlMs / (RENEWALS_PER_TTL * 10);
      }
    }
    clearTimeout(doubt);
  }
}
