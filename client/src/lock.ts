/**
 * Holding a lock while something is done. The holder's own monotonic clock decides how long it may believe in its
 * lock: counted from when it last asked with success, so that it gives up before the coordinator does.
 */
import { LockHeldError, LockLostError, StaleFencingTokenError } from "./errors.ts";
import { isWorthRepeating } from "./http.ts";
import type { Session } from "./session.ts";
import { linked, sleep } from "./wait.ts";
import type { Lock } from "./wire.ts";

export type LockOptions = {
  /** Seconds that a grant lasts unless renewed, 0.1 to 86,400. Default 30. */
  ttlSeconds?: number | undefined;
  /** How long to wait for it. Default 30; 0: not at all. */
  waitSeconds?: number | undefined;
  /** Ends the waiting, and aborts the `signal` of who holds it. */
  signal?: AbortSignal | undefined;
};

/** The last part of a TTL is for giving up in time, and for clocks that run unequally. */
const MARGIN = 0.1;
const RENEWALS_PER_TTL = 3;
/** Longest wait in line in one call. */
const WAIT_LIMIT_SECONDS = 30;
/** Between two questions to a coordinator that keeps no line. */
const ASK_PAUSE_MS = 250;

export class LockDesk {
  readonly #session: Session;
  readonly #agentId: string;
  readonly #path: string;
  /** The coordinator knows one holder, this agent: its own tasks queue here. */
  readonly #lines = new Map<string, Promise<unknown>>();

  constructor(session: Session, agentId: string, group: string) {
    this.#session = session;
    this.#agentId = agentId;
    this.#path = `/groups/${encodeURIComponent(group)}/locks`;
  }

  async hold<Value>(
    resource: string,
    use: (fencingToken: number, signal: AbortSignal) => Promise<Value> | Value,
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
    try {
      await this.#turn(resource, before, untilMs, signal);
      return await this.#holdGranted(
        resource,
        use,
        await this.#acquire(resource, ttlSeconds, untilMs, signal),
        signal,
      );
    } finally {
      leave();
      if (this.#lines.get(resource) === line) this.#lines.delete(resource);
    }
  }

  async #turn(resource: string, before: Promise<unknown> | undefined, untilMs: number, signal?: AbortSignal) {
    if (before === undefined) return;
    const wait = linked(signal);
    const late = sleep(untilMs - performance.now(), wait.signal).then(() => "late");
    const turn = await Promise.race([before, late]);
    wait.abort();
    wait.dispose();
    signal?.throwIfAborted();
    if (turn !== "late") return;
    const detail = `${resource} is held by another task of this agent`;
    throw new LockHeldError(409, { code: "lock_held", detail, holder: this.#agentId });
  }

  /** @returns the grant, and when it was last certain */
  async #acquire(resource: string, ttl_seconds: number, untilMs: number, signal?: AbortSignal) {
    for (;;) {
      const leftSeconds = Math.max(0, (untilMs - performance.now()) / 1000);
      const wait_seconds = Math.min(leftSeconds, WAIT_LIMIT_SECONDS);
      const body = { agent_id: this.#agentId, ttl_seconds, wait_seconds };
      const askedAtMs = performance.now();
      try {
        const call = { body, signal, timeoutSeconds: wait_seconds + 10, isRepeatable: true, retries: 2 };
        const { lock } = await this.#ask(resource, "acquire", call);
        // Granted at some time after it was asked for: a long wait leaves little that is certain.
        const isFresh = performance.now() - askedAtMs < (lock.ttl_seconds * 1000) / RENEWALS_PER_TTL;
        return isFresh ? { lock, sureAtMs: askedAtMs } : await this.#refreshed(lock, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const isTaken = error instanceof LockHeldError || error instanceof StaleFencingTokenError;
        if (!(isTaken || isWorthRepeating(error)) || performance.now() >= untilMs) throw error;
      }
      await sleep(Math.min(ASK_PAUSE_MS * (0.5 + Math.random()), untilMs - performance.now()), signal);
      signal?.throwIfAborted();
    }
  }

  async #refreshed(lock: Lock, signal?: AbortSignal) {
    const sureAtMs = performance.now();
    const call = {
      body: { fencing_token: lock.fencing_token },
      signal,
      isRepeatable: true,
      timeoutSeconds: lock.ttl_seconds,
    };
    await this.#ask(lock.resource, "renew", call);
    return { lock, sureAtMs };
  }

  async #holdGranted<Value>(
    resource: string,
    use: (fencingToken: number, signal: AbortSignal) => Promise<Value> | Value,
    { lock, sureAtMs }: { lock: Lock; sureAtMs: number },
    signal?: AbortSignal,
  ): Promise<Value> {
    const held = linked(signal);
    const done = new AbortController();
    const renewing = this.#keep(lock, sureAtMs, held, done.signal);
    try {
      const value = await use(lock.fencing_token, held.signal);
      if (held.signal.reason instanceof LockLostError) throw held.signal.reason;
      return value;
    } finally {
      done.abort();
      held.dispose();
      await renewing;
      await this.#release(resource, lock.fencing_token);
    }
  }

  /** Renews until it is done with; aborts `held` when the lock is lost or can no longer be believed in. */
  async #keep(lock: Lock, grantedAtMs: number, held: AbortController, done: AbortSignal): Promise<void> {
    const ttlMs = lock.ttl_seconds * 1000;
    let sureAtMs = grantedAtMs;
    let doubt: ReturnType<typeof setTimeout> | undefined;
    const lose = (why: string) => held.abort(new LockLostError(`${lock.resource}: ${why}`));
    const believe = () => {
      clearTimeout(doubt);
      const leftMs = sureAtMs + ttlMs * (1 - MARGIN) - performance.now();
      doubt = setTimeout(() => lose("not renewed in time"), leftMs);
    };
    believe();
    let pauseMs = sureAtMs + ttlMs / RENEWALS_PER_TTL - performance.now();
    while (!done.aborted && !held.signal.aborted) {
      await sleep(pauseMs, done);
      if (done.aborted || held.signal.aborted) break;
      const askedAtMs = performance.now();
      try {
        const body = { fencing_token: lock.fencing_token };
        await this.#ask(lock.resource, "renew", {
          body,
          signal: done,
          timeoutSeconds: lock.ttl_seconds / RENEWALS_PER_TTL,
        });
        sureAtMs = askedAtMs;
        believe();
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

  /** A lock that cannot be released, for it is lost or nobody answers, ends by its TTL. */
  async #release(resource: string, fencing_token: number): Promise<void> {
    const call = { body: { fencing_token }, isRepeatable: true, retries: 3, timeoutSeconds: 5 };
    await this.#ask(resource, "release", call).catch(() => {});
  }

  #ask(resource: string, what: string, call: object): Promise<{ lock: Lock }> {
    return this.#session.call("POST", `${this.#path}/${encodeURIComponent(resource)}/${what}`, call);
  }
}
