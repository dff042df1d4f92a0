/**
 * An agent's session with the coordinator: its incarnation, its token, and the time of its last contact by the agent's
 * own monotonic clock. When the incarnation has ended (410), the next one is registered, once for all callers that
 * notice.
 */
import { orAborted, sleep, timeLimit } from "../cancellation.ts";
import type { Registered } from "../coordinator/coordinator.ts";
import { ConnectionError, FailoverError, SessionExpiredError, UnauthorizedError } from "../errors.ts";
import type { Call, Http } from "../http.ts";
import { backoffMs, isTransient } from "../retry.ts";
import type { Registration } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";

export type SessionParts = {
  http: Http;
  /** Of the agent, within its cluster. */
  path: string;
  emitter: Emitter;
  /** Called at each registration. */
  registration: () => Registration;
  /** Aborted when the agent has stopped: ends every wait of the agent. */
  stopped: AbortSignal;
};

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 30_000;
/** After so many short incarnations in a row, another process probably uses the same id. */
const DUPLICATE_ID_THRESHOLD = 3;
/** An agent that stops waits so long for a registration under way. Unanswered, that incarnation ends by its timeout. */
const LAST_REGISTRATION_LIMIT_MS = 5000;

export class Session {
  readonly path: string;
  readonly stopped: AbortSignal;
  readonly #http: Http;
  readonly #emitter: Emitter;
  readonly #registration: () => Registration;
  #current: Registered | null = null;
  #renewal: Promise<void> | null = null;
  #lastContactAtMs = 0;
  #registeredAtMs = Number.NEGATIVE_INFINITY;
  #shortIncarnations = 0;
  #isUnregistering = false;
  #lifetime = new AbortController();
  #pendingRegistration: Promise<Registered> | null = null;

  constructor({ http, path, emitter, registration, stopped }: SessionParts) {
    this.#http = http;
    this.path = path;
    this.#emitter = emitter;
    this.#registration = registration;
    this.stopped = stopped;
  }

  get current(): Registered {
    if (this.#current === null) throw new Error("the agent is not registered: await agent.start() first");
    return this.#current;
  }

  get incarnation(): number | null {
    return this.#current?.incarnation ?? null;
  }

  /** Aborted when another agent may have got what the current incarnation holds. */
  get lifetime(): AbortSignal {
    return this.#lifetime.signal;
  }

  /** Built from the client's `url`, so that a socket goes through the same proxies as the calls. */
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
    return performance.now() - this.#lastContactAtMs;
  }

  /** When the current registration was sent. It may list attempts that were aborted later. */
  get registeredAtMs(): number {
    return this.#registeredAtMs;
  }

  /** Records contact: what was sent at that time was answered. */
  recordContact(sentAtMs: number): void {
    this.#lastContactAtMs = Math.max(this.#lastContactAtMs, sentAtMs);
  }

  /** Registers; retries until there is an answer. @throws {FailoverError} the registration was refused */
  async register(): Promise<void> {
    const signal = this.stopped;
    for (let tries = 0; ; tries++) {
      const sentAtMs = performance.now();
      // The registration may end the previous incarnation even if no answer arrives.
      this.endIncarnation();
      try {
        const body = this.#registration();
        this.#pendingRegistration = this.#http.call<Registered>("PUT", this.path, {
          body,
          signal,
          retries: 0,
        });
        const registered = await this.#pendingRegistration;
        if (typeof registered?.incarnation !== "number") {
          throw new ConnectionError("unexpected response: this is not a failover coordinator");
        }
        this.#current = registered;
        this.#lifetime = new AbortController();
        this.recordContact(sentAtMs);
        this.#registeredAtMs = sentAtMs;
        this.#emitter.emit("registered", { incarnation: registered.incarnation });
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!isTransient(error)) throw error;
        this.#emitter.emit("disconnected", { reason: String(error) });
      } finally {
        this.#pendingRegistration = null;
      }
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
    }
  }

  /**
   * Registers the incarnation after the given one; resolves at once if that has happened already.
   * Many agents may notice at the same time that their incarnations have ended, so each first waits a random time.
   * That time grows with each short incarnation: probably another process uses the same id.
   */
  renew(ended: Registered): Promise<void> {
    if (this.#current !== ended) return this.#renewal ?? Promise.resolve();
    this.endIncarnation();
    if (this.#isUnregistering) return orAborted(new Promise(() => {}), this.stopped);
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  /** Waits for a registration under way: the coordinator may have received that. */
  async isRegistered(): Promise<boolean> {
    if (this.#current === null) await this.#waitBriefly(this.#pendingRegistration);
    return this.#current !== null;
  }

  /**
   * Unregisters; without an answer, the incarnation ends by its timeout. Another call or the socket may report the end
   * of the incarnation before this call returns; no new incarnation is registered then.
   */
  async unregister(): Promise<void> {
    await this.#waitBriefly(this.#renewal);
    this.#isUnregistering = true;
    let left: Registered;
    do {
      left = this.current;
      // The locks of the incarnation are released with it.
      this.endIncarnation();
      const call = { token: left.token, isRepeatable: true, retries: 2, timeoutSeconds: 5 };
      await this.#http.call("DELETE", this.path, call).catch(() => {});
      // A slow registration may have been answered meanwhile: then that incarnation has to be unregistered too.
    } while (this.#current !== left);
  }

  async #waitBriefly(registration: Promise<unknown> | null): Promise<void> {
    const { signal, dispose } = timeLimit(LAST_REGISTRATION_LIMIT_MS);
    await orAborted(Promise.resolve(registration), signal).catch(() => {});
    dispose();
  }

  /** The current incarnation has ended, or will soon. */
  endIncarnation(): void {
    this.#lifetime.abort();
  }

  /**
   * The current incarnation may have ended without this agent's knowledge, so nothing it holds is certain. If it has
   * not ended, what it acquires from now on is its own.
   */
  suspectIncarnation(): void {
    if (this.lifetime.aborted) return;
    this.endIncarnation();
    this.#lifetime = new AbortController();
  }

  /** Resolves when no registration of a next incarnation is under way. */
  get renewal(): Promise<void> {
    return this.#renewal ?? Promise.resolve();
  }

  async #renew(): Promise<void> {
    const isShort = performance.now() - this.#registeredAtMs < this.timeoutMs;
    this.#shortIncarnations = isShort ? this.#shortIncarnations + 1 : 0;
    if (this.#shortIncarnations === DUPLICATE_ID_THRESHOLD) {
      const error = new Error(
        `${this.path} was registered again ${DUPLICATE_ID_THRESHOLD} times: does another process use this id?`,
      );
      this.#emitter.emit("error", { error });
    }
    for (let tries = this.#shortIncarnations; ; tries++) {
      await sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries), this.stopped);
      this.stopped.throwIfAborted();
      try {
        return await this.register();
      } catch (error) {
        this.stopped.throwIfAborted();
        this.#emitter.emit("error", { error });
      }
    }
  }

  /**
   * A call with the agent's token; if the incarnation has ended, again with the next one. Other errors are not retried
   * unless `retries` is given.
   */
  async call<Body>(method: string, path: string, call: Call = {}): Promise<Body> {
    for (;;) {
      const used = this.current;
      const sentAtMs = performance.now();
      try {
        const body = await this.#http.call<Body>(method, path, { retries: 0, ...call, token: used.token });
        this.recordContact(sentAtMs);
        return body;
      } catch (error) {
        if (!isExpiry(error)) {
          if (error instanceof FailoverError && error.status < 500) this.recordContact(sentAtMs);
          throw error;
        }
        await orAborted(this.renew(used), call.signal);
      }
    }
  }
}

/** The token is no longer valid: its incarnation has ended. */
export const isExpiry = (error: unknown): boolean =>
  error instanceof SessionExpiredError || error instanceof UnauthorizedError;
