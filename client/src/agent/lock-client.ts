/**
 * The lock calls of an agent. Acquiring may wait in the queue of the lock. A caller that stops waiting leaves the queue
 * with a call of its own, because not every platform notifies the coordinator of a cancelled request; a lock that was
 * granted meanwhile is released.
 */
import { orAborted, sleep, timeLimit } from "../cancellation.ts";
import { LockHeldError, StaleFencingTokenError } from "../errors.ts";
import type { Call } from "../http.ts";
import { isTransient } from "../retry.ts";
import type { Lock } from "../wire.ts";
import type { Session } from "./session.ts";

/** `untilMs`: when the caller stops waiting, by the monotonic clock. */
export type LockRequest = { resource: string; ttlSeconds: number; untilMs: number };

/** `confirmedAtMs`: when the call was sent that last proved the grant. */
export type Grant = { lock: Lock; confirmedAtMs: number };

export const RENEWALS_PER_TTL = 3;
/** Longest wait in one call. */
const WAIT_LIMIT_SECONDS = 30;
/** Between two calls to a coordinator that keeps no queue. */
const RETRY_PAUSE_MS = 250;
/** Leaving the queue delays the next caller of the same lock, at most as long as a call without an answer would. */
const LEAVE_LIMIT_MS = 10_000;
const LEAVE_RETRIES = 3;
const LEAVE_TIMEOUT_SECONDS = 3;

export class LockClient {
  readonly #session: Session;
  readonly #agentId: string;
  readonly #path: string;
  /** The queues that are being left, by resource. */
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(session: Session, agentId: string, group: string) {
    this.#session = session;
    this.#agentId = agentId;
    this.#path = `/groups/${encodeURIComponent(group)}/locks`;
  }

  /** One caller per resource at a time. @throws the last refusal, or the signal's reason */
  async acquire(request: LockRequest, signal: AbortSignal): Promise<Grant> {
    const { resource, untilMs } = request;
    // Until the previous caller has left, the answer could be its grant, which is about to be released.
    const leaving = this.#leaving.get(resource);
    if (leaving !== undefined) await orAborted(leaving, signal);
    // Whether this agent may be in the queue, or hold the lock, without knowing it.
    let isUnknown = false;
    try {
      for (;;) {
        signal.throwIfAborted();
        isUnknown = true;
        try {
          return await this.#acquireOnce(request, signal);
        } catch (error) {
          isUnknown = signal.aborted || isTransient(error);
          const isHeld = error instanceof LockHeldError || error instanceof StaleFencingTokenError;
          if (!(isHeld || isUnknown) || performance.now() >= untilMs) throw error;
        }
        await sleep(Math.min(RETRY_PAUSE_MS * (0.5 + Math.random()), untilMs - performance.now()), signal);
      }
    } catch (error) {
      // Unregistering removes an agent from all queues.
      if (isUnknown && !this.#session.stopped.aborted) {
        const left = this.#leaveQueue(request).finally(() => this.#leaving.delete(resource));
        this.#leaving.set(resource, left);
      }
      signal.throwIfAborted();
      throw error;
    }
  }

  async renew({ resource, fencing_token }: Lock, call: Call): Promise<void> {
    await this.#call(resource, "renew", { ...call, body: { fencing_token } });
  }

  /** Never rejects: a lock that cannot be released ends by its TTL. */
  async release({ resource, fencing_token }: Lock, signal?: AbortSignal): Promise<void> {
    const call = { body: { fencing_token }, signal, isRepeatable: true, retries: 3, timeoutSeconds: 5 };
    await this.#call(resource, "release", call).catch(() => {});
  }

  async #acquireOnce({ resource, ttlSeconds, untilMs }: LockRequest, signal: AbortSignal): Promise<Grant> {
    const leftSeconds = Math.max(0, (untilMs - performance.now()) / 1000);
    const wait_seconds = Math.min(leftSeconds, WAIT_LIMIT_SECONDS);
    const body = { agent_id: this.#agentId, ttl_seconds: ttlSeconds, wait_seconds };
    const sentAtMs = performance.now();
    const call = { body, signal, timeoutSeconds: wait_seconds + 10, isRepeatable: true, retries: 2 };
    const lock = await this.#call(resource, "acquire", call);
    // The lock was granted at an unknown time after the call was sent: after a long wait, only a renewal proves that
    // enough of the TTL is left.
    const isFresh = performance.now() - sentAtMs < (lock.ttl_seconds * 1000) / RENEWALS_PER_TTL;
    if (isFresh) return { lock, confirmedAtMs: sentAtMs };
    const confirmedAtMs = performance.now();
    await this.renew(lock, { signal, isRepeatable: true, timeoutSeconds: lock.ttl_seconds });
    return { lock, confirmedAtMs };
  }

  /**
   * Acquiring with a wait of 0 gives up the queue position, or returns the lock that was granted meanwhile, which is
   * released. Without an answer, the position ends with its wait and the lock with its TTL.
   */
  async #leaveQueue({ resource, ttlSeconds }: LockRequest): Promise<void> {
    const { signal, dispose } = timeLimit(LEAVE_LIMIT_MS, this.#session.stopped);
    try {
      const lock = await this.#call(resource, "acquire", {
        body: { agent_id: this.#agentId, ttl_seconds: ttlSeconds, wait_seconds: 0 },
        signal,
        isRepeatable: true,
        retries: LEAVE_RETRIES,
        timeoutSeconds: LEAVE_TIMEOUT_SECONDS,
      });
      await this.release(lock, signal);
    } catch {
      // Refused: the agent neither waits for the lock nor holds it.
    } finally {
      dispose();
    }
  }

  async #call(resource: string, action: string, call: Call): Promise<Lock> {
    const path = `${this.#path}/${encodeURIComponent(resource)}/${action}`;
    return (await this.#session.call<{ lock: Lock }>("POST", path, call)).lock;
  }
}
