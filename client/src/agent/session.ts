/**
 * An agent's standing with the coordinator: its incarnation, its token, and when it was last in touch by its
 * own monotonic clock. An incarnation that is over (410) is followed by a new one, registered once for all who
 * noticed.
 */

import { backoffMs, limited, orAborted, sleep } from "../cancellation.ts";
import type { Registered } from "../coordinator/coordinator.ts";
import { ConnectionError, FailoverError, SessionExpiredError, UnauthorizedError } from "../errors.ts";
import { type Call, type Http, isWorthRepeating } from "../http.ts";
import type { Registration } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;
/** So many in a row are no accident. */
const SHORT_LIVES_OF_NAMESAKES = 3;
/** Whoever leaves waits for no longer for the incarnation that is to leave. Unanswered, it ends by its timeout. */
const LAST_REGISTRATION_LIMIT_MS = 5000;

export class Session {
  readonly path: string;
  readonly #http: Http;
  readonly #emitter: Emitter;
  readonly #registration: () => Registration;
  #current: Registered | null = null;
  #renewal: Promise<void> | null = null;
  #touchedAtMs = 0;
  #registeredAtMs = Number.NEGATIVE_INFINITY;
  #shortLives = 0;
  #isLeaving = false;
  #life = new AbortController();
  #asking: Promise<Registered> | null = null;
  /** Ends everything that waits in the agent's name. */
  readonly over = new AbortController();

  constructor(http: Http, path: string, emitter: Emitter, registration: () => Registration) {
    this.#http = http;
    this.path = path;
    this.#emitter = emitter;
    this.#registration = registration;
  }

  get current(): Registered {
    if (this.#current === null) throw new Error("the agent is not registered: await agent.start() first");
    return this.#current;
  }

  get incarnation(): number | null {
    return this.#current?.incarnation ?? null;
  }

  /** Aborted when what the present incarnation holds may be another's. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  /** Where its socket is opened: as all else is reached, whatever stands between. */
  get socketUrl(): string {
    return `${this.#http.base.replace(/^http/, "ws")}${this.path}/connect`;
  }

  get intervalMs(): number {
    return this.current.heartbeat_interval_seconds * 1000;
  }

  get timeoutMs(): number {
    return this.current.heartbeat_timeout_seconds * 1000;
  }

  get silentForMs(): number {
    return performance.now() - this.#touchedAtMs;
  }

  /** When its registration was sent; what was given up later it may still claim. */
  get registeredAtMs(): number {
    return this.#registeredAtMs;
  }

  /** What was sent then was answered. */
  touched(sentAtMs: number): void {
    this.#touchedAtMs = Math.max(this.#touchedAtMs, sentAtMs);
  }

  /** Registers; tries for as long as nobody answers. @throws {FailoverError} a refusal */
  async register(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const sentAtMs = performance.now();
      // Whether it is answered or not, it may end the incarnation before.
      this.endLife();
      try {
        const body = this.#registration();
        const signal = this.over.signal;
        this.#asking = this.#http.call<Registered>("PUT", this.path, { body, signal, retries: 0 });
        const answered = await this.#asking;
        if (typeof answered?.incarnation !== "number") throw new ConnectionError("no coordinator answers so");
        this.#current = answered;
        this.#life = new AbortController();
        this.touched(sentAtMs);
        this.#registeredAtMs = sentAtMs;
        this.#emitter.emit("registered", { incarnation: this.#current.incarnation });
        return;
      } catch (error) {
        this.over.signal.throwIfAborted();
        if (!isWorthRepeating(error)) throw error;
        this.#emitter.emit("disconnected", { reason: String(error) });
      } finally {
        this.#asking = null;
      }
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), this.over.signal);
    }
  }

  /**
   * The next incarnation after the one given; at once if there is one already.
   * Agents of a fleet learn together that they are over, so each waits a little by chance. One that is over again
   * and again has probably a namesake that lives too: it waits longer each time.
   */
  renew(ended: Registered): Promise<void> {
    if (this.#current !== ended) return this.#renewal ?? Promise.resolve();
    this.endLife();
    if (this.#isLeaving) return orAborted(new Promise(() => {}), this.over.signal);
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** Whether it is registered, a registration that is under way included: that may have been heard. */
  async isRegistered(): Promise<boolean> {
    if (this.#current === null) await this.#briefly(this.#asking);
    return this.#current !== null;
  }

  /**
   * Leaves for good; if nobody answers, they will notice by themselves. Its end is heard over the socket or by a call
   * that waits, before this is answered perhaps: then no new incarnation follows.
   */
  async unregister(): Promise<void> {
    await this.#briefly(this.#renewal);
    this.#isLeaving = true;
    let left: Registered;
    do {
      left = this.current;
      // Whoever has left holds nothing.
      this.endLife();
      const call = { token: left.token, isRepeatable: true, retries: 2, timeoutSeconds: 5 };
      await this.#http.call("DELETE", this.path, call).catch(() => {});
      // A registration that took long may have been answered meanwhile: there is one more that has to leave.
    } while (this.#current !== left);
  }

  async #briefly(registration: Promise<unknown> | null): Promise<void> {
    const { signal, dispose } = limited(LAST_REGISTRATION_LIMIT_MS);
    await orAborted(Promise.resolve(registration), signal).catch(() => {});
    dispose();
  }

  /** The present incarnation is over, or soon will be. */
  endLife(): void {
    this.#life.abort();
  }

  /** It may be over, unknown to this agent. If not, what it takes from now on is its own. */
  doubtLife(): void {
    if (this.life.aborted) return;
    this.endLife();
    this.#life = new AbortController();
  }

  /** Resolves when no new incarnation is under way. */
  get renewal(): Promise<void> {
    return this.#renewal ?? Promise.resolve();
  }

  async #renew(): Promise<void> {
    const isShort = performance.now() - this.#registeredAtMs < this.timeoutMs;
    this.#shortLives = isShort ? this.#shortLives + 1 : 0;
    if (this.#shortLives === SHORT_LIVES_OF_NAMESAKES) {
      const error = new Error(
        `${this.path} is registered again and again: does another process use this id?`,
      );
      this.#emitter.emit("error", { error });
    }
    for (let tries = this.#shortLives; ; tries++) {
      await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries), this.over.signal);
      this.over.signal.throwIfAborted();
      try {
        return await this.register();
      } catch (error) {
        this.over.signal.throwIfAborted();
        this.#emitter.emit("error", { error });
      }
    }
  }

  /** As this agent; if its incarnation is over, as the next one. Tried once unless `retries` says otherwise. */
  async call<Body>(method: string, path: string, call: Call = {}): Promise<Body> {
    for (;;) {
      const used = this.current;
      const sentAtMs = performance.now();
      try {
        const body = await this.#http.call<Body>(method, path, { retries: 0, ...call, token: used.token });
        this.touched(sentAtMs);
        return body;
      } catch (error) {
        if (!isExpiry(error)) {
          if (error instanceof FailoverError && error.status < 500) this.touched(sentAtMs);
          throw error;
        }
        await orAborted(this.renew(used), call.signal);
      }
    }
  }
}

/** The token speaks for nobody any more. */
export const isExpiry = (error: unknown): boolean =>
  error instanceof SessionExpiredError || error instanceof UnauthorizedError;
