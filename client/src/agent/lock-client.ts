/**
 * What an agent says to the coordinator about locks. Asking for one may take its time, in a line; whoever stops asking
 * leaves the line, and gives back what it was granted meanwhile. Not every platform tells the coordinator that a caller
 * has hung up, so it is said.
 */

import { limited, orAborted, sleep } from "../cancellation.ts";
import { LockHeldError, StaleFencingTokenError } from "../errors.ts";
import { type Call, isWorthRepeating } from "../http.ts";
import type { Lock } from "../wire.ts";
import type { Session } from "./session.ts";

/** `sureAtMs`: when it was last certain. */
export type Grant = { lock: Lock; sureAtMs: number };

export const RENEWALS_PER_TTL = 3;
/** Longest wait in line in one call. */
const WAIT_LIMIT_SECONDS = 30;
/** Between two questions to a coordinator that keeps no line. */
const ASK_PAUSE_MS = 250;
/** Leaving a line holds up who wants the same lock next, but not for longer than a call without an answer would. */
const LEAVING_LIMIT_MS = 10_000;
const LEAVING_RETRIES = 3;
const LEAVING_TIMEOUT_SECONDS = 3;

export class LockCalls {
  readonly #session: Session;
  readonly #agentId: string;
  readonly #path: string;
  /** By resource, the line that is being left. */
  readonly #leaving = new Map<string, Promise<void>>();

  constructor(session: Session, agentId: string, group: string) {
    this.#session = session;
    this.#agentId = agentId;
    this.#path = `/groups/${encodeURIComponent(group)}/locks`;
  }

  /** For one task of this agent at a time. @throws what was answered last, or the signal's reason */
  async acquire(resource: string, ttl_seconds: number, untilMs: number, signal: AbortSignal): Promise<Grant> {
    // What is given back must not be taken for a new grant.
    const leaving = this.#leaving.get(resource);
    if (leaving !== undefined) await orAborted(leaving, signal);
    // Whether the coordinator may believe that this agent waits, or holds the lock.
    let isUnknown = false;
    try {
      for (;;) {
        signal.throwIfAborted();
        isUnknown = true;
        try {
          return await this.#askOnce(resource, ttl_seconds, untilMs, signal);
        } catch (error) {
          isUnknown = signal.aborted || isWorthRepeating(error);
          const isTaken = error instanceof LockHeldError || error instanceof StaleFencingTokenError;
          if (!(isTaken || isUnknown) || performance.now() >= untilMs) throw error;
        }
        await sleep(Math.min(ASK_PAUSE_MS * (0.5 + Math.random()), untilMs - performance.now()), signal);
      }
    } catch (error) {
      // An agent that has stopped has left all lines.
      if (isUnknown && !this.#session.over.signal.aborted) {
        const left = this.#leave(resource, ttl_seconds).finally(() => this.#leaving.delete(resource));
        this.#leaving.set(resource, left);
      }
      signal.throwIfAborted();
      throw error;
    }
  }

  async renew({ resource, fencing_token }: Lock, call: Call): Promise<void> {
    await this.#ask(resource, "renew", { ...call, body: { fencing_token } });
  }

  /** A lock that cannot be released, for it is lost or nobody answers, ends by its TTL. */
  async release({ resource, fencing_token }: Lock, signal?: AbortSignal): Promise<void> {
    const call = { body: { fencing_token }, signal, isRepeatable: true, retries: 3, timeoutSeconds: 5 };
    await this.#ask(resource, "release", call).catch(() => {});
  }

  async #askOnce(
    resource: string,
    ttl_seconds: number,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Grant> {
    const leftSeconds = Math.max(0, (untilMs - performance.now()) / 1000);
    const wait_seconds = Math.min(leftSeconds, WAIT_LIMIT_SECONDS);
    const body = { agent_id: this.#agentId, ttl_seconds, wait_seconds };
    const askedAtMs = performance.now();
    const call = { body, signal, timeoutSeconds: wait_seconds + 10, isRepeatable: true, retries: 2 };
    const lock = await this.#ask(resource, "acquire", call);
    // Granted at some time after it was asked for: a long wait leaves little that is certain.
    const isFresh = performance.now() - askedAtMs < (lock.ttl_seconds * 1000) / RENEWALS_PER_TTL;
    if (isFresh) return { lock, sureAtMs: askedAtMs };
    const sureAtMs = performance.now();
    await this.renew(lock, { signal, isRepeatable: true, timeoutSeconds: lock.ttl_seconds });
    return { lock, sureAtMs };
  }

  /**
   * Asking again with a wait of 0 gives up the place, or is answered with the lock that was granted meanwhile. If
   * nobody answers, a place ends with its wait and a lock with its TTL.
   */
  async #leave(resource: string, ttl_seconds: number): Promise<void> {
    const { signal, dispose } = limited(LEAVING_LIMIT_MS, this.#session.over.signal);
    try {
      const body = { agent_id: this.#agentId, ttl_seconds, wait_seconds: 0 };
      const tries = {
        isRepeatable: true,
        retries: LEAVING_RETRIES,
        timeoutSeconds: LEAVING_TIMEOUT_SECONDS,
      };
      await this.release(await this.#ask(resource, "acquire", { body, signal, ...tries }), signal);
    } catch {
      // Refused: it neither waits nor holds.
    } finally {
      dispose();
    }
  }

  async #ask(resource: string, what: string, call: Call): Promise<Lock> {
    const path = `${this.#path}/${encodeURIComponent(resource)}/${what}`;
    return (await this.#session.call<{ lock: Lock }>("POST", path, call)).lock;
  }
}
