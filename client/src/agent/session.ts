/**
 * An agent's session with the coordinator: its incarnation, its token, and the time of its last contact by the agent's
 * own monotonic clock. When the incarnation has ended (410), the next one is registered, once for all callers that
 * notice. When another process has registered the agent, or the agent was removed, the session is over.
 *
 *   incarnation --failed, expired, restored--> the next incarnation
 *        '--- superseded, unregistered, revoked, or the next one is refused because the agent is live: over
 */
import { orAborted, sleep, timeLimit } from "../cancellation.ts";
import type { Registered } from "../coordinator/coordinator.ts";
import {
  type AgentEnd,
  AgentEndedError,
  AgentLiveError,
  ConnectionError,
  FailoverError,
  SessionExpiredError,
  UnauthorizedError,
} from "../errors.ts";
import type { Call, Http } from "../http.ts";
import { backoffMs, isTransient } from "../retry.ts";
import type { Registration } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import { instanceName } from "./instance.ts";
import { Reach } from "./reach.ts";

export type SessionParts = {
  http: Http;
  agentId: string;
  /** Of the agent, within its cluster. */
  path: string;
  emitter: Emitter;
  /** Called at each registration. */
  registration: () => Registration;
  /** Called once when the session is over. */
  onEnd: (error: AgentEndedError) => void;
  /** Aborted when the agent has stopped: ends every wait of the agent. */
  stopped: AbortSignal;
};

/** Why an incarnation has ended: members of a 410, or of the frame `session_expired`. */
export type SessionEnd = { reason?: string; superseded_by?: string | null | undefined };

const FIRST_PAUSE_MS = 200;
/** Short enough that an agent is back soon after an outage. */
const LONGEST_PAUSE_MS = 5000;
/** Incarnations that end one after the other are registered more and more slowly. */
const LONGEST_RENEWAL_PAUSE_MS = 30_000;
const FINAL_REASONS: readonly string[] = ["superseded", "unregistered", "revoked"] satisfies AgentEnd[];
/** An agent that stops waits so long for a registration under way. Unanswered, that incarnation ends by its timeout. */
const LAST_REGISTRATION_LIMIT_MS = 5000;
/** A call before the agent stops. */
const LAST_CALL = { isRepeatable: true, retries: 2, timeoutSeconds: 5 };

export class Session {
  readonly path: string;
  readonly stopped: AbortSignal;
  readonly reach = new Reach();
  readonly #http: Http;
  readonly #emitter: Emitter;
  readonly #registration: () => Registration;
  readonly #agentId: string;
  readonly #instance = instanceName();
  readonly #onEnd: (error: AgentEndedError) => void;
  #ended: AgentEndedError | null = null;
  /** The last heartbeat of a superseded incarnation. */
  #lastHeartbeat: Promise<unknown> = Promise.resolve();
  #current: Registered | null = null;
  #renewal: Promise<void> | null = null;
  #lastContactAtMs = 0;
  #registeredAtMs = Number.NEGATIVE_INFINITY;
  #shortIncarnations = 0;
  #isUnregistering = false;
  #lifetime = new AbortController();
  #pendingRegistration: Promise<Registered> | null = null;

  constructor({ http, agentId, path, emitter, registration, onEnd, stopped }: SessionParts) {
    this.#http = http;
    this.#agentId = agentId;
    this.path = path;
    this.#emitter = emitter;
    this.#registration = registration;
    this.#onEnd = onEnd;
    this.stopped = stopped;
  }

  /** Why the session is over; null while it is not. */
  get ended(): AgentEndedError | null {
    return this.#ended;
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
        const body = { ...this.#registration(), instance: this.#instance };
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
   * Registers the incarnation after the given one; resolves at once if that has happened already. Never resolves if
   * there will be no next one; rejects then when the agent has stopped.
   * Many agents may notice at the same time that their incarnations have ended, so each first waits a random time.
   * That time grows with each short incarnation.
   */
  renew(expired: Registered, { reason = "", superseded_by = null }: SessionEnd = {}): Promise<void> {
    if (this.#current !== expired) return this.#renewal ?? Promise.resolve();
    this.endIncarnation();
    if (this.#renewal !== null) return this.#renewal;
    // A registration without an answer may have superseded the incarnation: then the other process is this one.
    if (FINAL_REASONS.includes(reason) && superseded_by !== this.#instance && !this.#isUnregistering) {
      this.#end(reason as AgentEnd, superseded_by);
    }
    if (this.#isUnregistering) return this.#noRenewal();
    this.#renewal = this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  #noRenewal(): Promise<never> {
    return orAborted(new Promise(() => {}), this.stopped);
  }

  #end(reason: AgentEnd, supersededBy: string | null): void {
    this.#isUnregistering = true;
    this.#ended = new AgentEndedError(this.#agentId, reason, supersededBy);
    if (reason === "superseded") {
      // Shows the coordinator that both processes live, so that this is no crash and a restart.
      const call = { body: {}, token: this.current.token, ...LAST_CALL };
      this.#lastHeartbeat = this.#http.call("POST", `${this.path}/heartbeat`, call).catch(() => {});
    }
    this.#onEnd(this.#ended);
  }

  /** Waits for a registration under way: the coordinator may have received that. */
  async isRegistered(): Promise<boolean> {
    if (this.#current === null) await this.#waitBriefly(this.#pendingRegistration);
    return this.#current !== null;
  }

  /**
   * Unregisters; without an answer, the incarnation ends by its timeout. Another call or the socket may report the end
   * of the incarnation before this call returns; no new incarnation is registered then. If the session is over, the
   * agent's id may be another process's, so nothing is unregistered.
   */
  async unregister(): Promise<void> {
    if (this.#ended === null) await this.#waitBriefly(this.#renewal);
    if (this.#ended !== null) return void (await this.#lastHeartbeat);
    this.#isUnregistering = true;
    let left: Registered;
    do {
      left = this.current;
      // The locks of the incarnation are released with it.
      this.endIncarnation();
      const call = { token: left.token, ...LAST_CALL };
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

  /** Resolves when no registration of a next incarnation is under way; never if the session is over. */
  get renewal(): Promise<void> {
    return this.#ended === null ? (this.#renewal ?? Promise.resolve()) : this.#noRenewal();
  }

  async #renew(): Promise<void> {
    const isShort = performance.now() - this.#registeredAtMs < this.timeoutMs;
    this.#shortIncarnations = isShort ? this.#shortIncarnations + 1 : 0;
    for (let tries = this.#shortIncarnations; ; tries++) {
      const longestMs = Math.min(LONGEST_RENEWAL_PAUSE_MS, FIRST_PAUSE_MS * 2 ** tries);
      await sleep(Math.random() * longestMs, this.stopped);
      this.stopped.throwIfAborted();
      try {
        return await this.register();
      } catch (error) {
        this.stopped.throwIfAborted();
        // Meanwhile another process has got the id.
        if (error instanceof AgentLiveError) {
          const { instance = null } = error.evidence as { instance?: string | null };
          this.#end("superseded", instance);
          return this.#noRenewal();
        }
        this.#emitter.emit("error", { error });
      }
    }
  }

  /**
   * A call with the agent's token; if the incarnation has ended, again with the next one. If the session is over,
   * rejects when the agent has stopped. Other errors are not retried unless `retries` is given.
   */
  async call<Body>(method: string, path: string, call: Call = {}): Promise<Body> {
    for (;;) {
      if (this.#ended !== null) return this.#noRenewal();
      const used = this.current;
      const sentAtMs = performance.now();
      try {
        const body = await this.#http.call<Body>(method, path, { retries: 0, ...call, token: used.token });
        this.recordContact(sentAtMs);
        this.reach.reached();
        return body;
      } catch (error) {
        if (!isExpiry(error)) {
          if (error instanceof FailoverError && error.status < 500) this.recordContact(sentAtMs);
          throw error;
        }
        await orAborted(this.renew(used, endOf(error)), call.signal);
      }
    }
  }
}

/** Why the incarnation has ended, as far as the coordinator says it. */
export const endOf = (error: unknown): SessionEnd =>
  error instanceof SessionExpiredError ? error.evidence : {};

/** The token is no longer valid: its incarnation has ended. */
export const isExpiry = (error: unknown): boolean =>
  error instanceof SessionExpiredError || error instanceof UnauthorizedError;
