/**
 * A whole agent: it registers, shows that it lives, takes tasks, works on them with the handlers it is given, and
 * reports. It speaks over a socket where there is one, and asks over HTTP where there is none or while it is broken.
 *
 *   start --registered--> in touch <----> out of touch (goes on working, registers again)
 *                            '--- stop: drains, finishes, unregisters
 */
import { TaskRevokedError } from "./errors.ts";
import { type ClientOptions, Http, isWorthRepeating } from "./http.ts";
import { LockDesk, type LockOptions } from "./lock.ts";
import { Mailbox, type MessageHandler } from "./mailbox.ts";
import { Session } from "./session.ts";
import { type AgentEvents, Emitter, type Listener } from "./signals.ts";
import { type Push, Socket } from "./socket.ts";
import { backoffMs, linked, orAborted, sleep } from "./wait.ts";
import type { AgentMessage, HeartbeatAnswer, JsonValue, Load, MessageSending, Task } from "./wire.ts";
import { type Handler, Work } from "./work.ts";

export type AgentOptions = ClientOptions & {
  /** Its name in the cluster: 1 to 128 of `A-Z a-z 0-9 . _ : -`. One process at a time. */
  id: string;
  /** Default `default`. */
  group?: string | undefined;
  /** What kind of agent it is, for people and filters. Default `worker`. */
  type?: string | undefined;
  /** Task types it can do. Default: those with a handler. */
  capabilities?: string[] | undefined;
  /** An address of its own, for others to see. */
  endpoint?: string | undefined;
  /** Default 10. */
  maxConcurrentTasks?: number | undefined;
  labels?: Record<string, string> | undefined;
  /** Default as the cluster is configured: 10. */
  heartbeatIntervalSeconds?: number | undefined;
  /** Silent for longer it is declared failed. Default as the cluster is configured: 30. */
  heartbeatTimeoutSeconds?: number | undefined;
  /** Asked at each heartbeat. */
  load?: (() => Load) | undefined;
  /**
   * Aborts every handler after a whole timeout out of touch, for work that must never be done by two at once.
   * Default false: it works on, and its result counts if the task has not moved.
   */
  abortWhenOutOfTouch?: boolean | undefined;
  /** `http` never opens a socket. Default `socket`, where the platform has one. */
  transport?: "socket" | "http" | undefined;
  /** `SIGTERM` and `SIGINT` stop it, a second one ends the process at once. Default true, in Node, Bun and Deno. */
  handleSignals?: boolean | undefined;
  /** What a signal leaves to the tasks that run. Default 30. */
  graceSeconds?: number | undefined;
};

const FIRST_PAUSE_MS = 200;
/** A socket that cannot be opened is tried again after a minute at the latest. */
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_POLL_SECONDS = 30;
/** Between two polls: a coordinator that answers at once, whatever its reason, must not make them a storm. */
const POLL_PAUSE_MS = 20;
/** Before it asks over HTTP it gives the socket so much time, and less if its heartbeats are quick. */
const SOCKET_HEAD_START_MS = 1000;
/** After the grace handlers that listen to their signal get so much time to end. */
const LAST_WORDS_MS = 1000;

export class Agent {
  readonly id: string;
  readonly #options: AgentOptions;
  readonly #emitter = new Emitter();
  readonly #session: Session;
  readonly #work: Work;
  readonly #mailbox: Mailbox;
  readonly #locks: LockDesk;
  #started: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  /** Ends the loops below; the session's own end comes last. */
  readonly #ending = new AbortController();
  #polling: AbortController | null = null;
  #transport: "socket" | "http" | null = null;

  /**
   * Makes no call; `start` does.
   * @example
   * const agent = new Agent({ token: "…", id: "agent1", labels: { zone: "a" }, maxConcurrentTasks: 4 });
   * console.log(agent.id);
   */
  constructor(options: AgentOptions) {
    this.id = options.id;
    this.#options = options;
    const group = options.group ?? "default";
    const path = `/groups/${encodeURIComponent(group)}/agents/${encodeURIComponent(options.id)}`;
    this.#session = new Session(new Http(options), path, this.#emitter, () => this.#registration());
    this.#work = new Work(options.id, options.maxConcurrentTasks ?? 10, this.#session, this.#emitter);
    this.#mailbox = new Mailbox(this.#session, this.#emitter);
    this.#locks = new LockDesk(this.#session, options.id, group);
  }

  /** The number of its incarnation; null before it is registered. */
  get incarnation(): number | null {
    return this.#session.incarnation;
  }

  /**
   * Says how tasks of a type are done; before `start`.
   * @example
   * agent.on("task_type1", async (task, { signal, progress, attempt }) => {
   *   await progress(0.5);
   *   signal.throwIfAborted();
   *   return { input: task.data, attempt };
   * });
   */
  on<Data = JsonValue>(taskType: string, handler: Handler<Data>): this {
    this.#work.handlers.set(taskType, handler as Handler);
    return this;
  }

  /**
   * Says who takes messages; before `start`. They come in order, one at a time.
   * @example
   * agent.onMessage(({ from, message_type, content }) => console.log(from, message_type, content));
   */
  onMessage(handler: MessageHandler): this {
    this.#mailbox.handler = handler;
    return this;
  }

  /**
   * Hears what becomes of this agent. @returns ends it
   * @example
   * agent.listen("error", ({ error }) => console.error(error));
   * const stop = agent.listen("revoked", ({ task, reason }) => console.log(task.id, reason));
   * stop();
   */
  listen<Name extends keyof AgentEvents>(name: Name, listener: Listener<Name>): () => void {
    return this.#emitter.listen(name, listener);
  }

  /**
   * Registers, and works from then on. Waits for as long as nobody answers.
   * @throws {FailoverError} the registration was refused
   * @example
   * agent.on("task_type1", () => "done");
   * await agent.start();
   * console.log(agent.incarnation);
   */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /**
   * Leaves in good order: takes nothing new, lets what runs end for at most `graceSeconds` (default 30, or as the
   * agent was told), showing life meanwhile, then aborts it and unregisters. What is unfinished moves on; no failure
   * is recorded.
   * @example
   * await agent.stop({ graceSeconds: 10 });
   */
  stop({ graceSeconds = this.#options.graceSeconds ?? 30 }: { graceSeconds?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(graceSeconds);
    return this.#stopped;
  }

  /**
   * Does something while it holds a lock, which it renews meanwhile and releases at the end. Tasks of this agent
   * that want the same lock take turns. `signal` is aborted before the lock can be another's; pass the fencing
   * token to what the lock protects, and let that refuse smaller ones.
   * @throws {LockHeldError} not free within `waitSeconds` (default 30)
   * @throws {LockLostError} it was lost before `use` was done
   * @example
   * await agent.start();
   * await agent.withLock("db/orders", async (fencingToken, signal) => {
   *   signal.throwIfAborted();
   *   console.log(fencingToken);
   * }, { ttlSeconds: 30, waitSeconds: 5 });
   */
  async withLock<Value>(
    resource: string,
    use: (fencingToken: number, signal: AbortSignal) => Promise<Value> | Value,
    options: LockOptions = {},
  ): Promise<Value> {
    return this.#locks.hold(resource, use, options);
  }

  /**
   * Sends another agent of the cluster a message in this one's name.
   * @throws {NotFoundError}
   * @example
   * await agent.start();
   * await agent.sendMessage("agent2", { message_type: "greeting", content: "hello" });
   */
  async sendMessage(to: string, message: MessageSending): Promise<AgentMessage> {
    const path = `/agents/${encodeURIComponent(to)}/messages`;
    return (await this.#session.call<{ message: AgentMessage }>("POST", path, { body: message })).message;
  }

  #registration() {
    const { type = "worker", capabilities, endpoint, labels, ...options } = this.#options;
    return {
      type,
      capabilities: capabilities ?? [...this.#work.handlers.keys()],
      endpoint,
      labels,
      max_concurrent_tasks: options.maxConcurrentTasks,
      heartbeat_interval_seconds: options.heartbeatIntervalSeconds,
      heartbeat_timeout_seconds: options.heartbeatTimeoutSeconds,
      running_tasks: this.#work.claimed,
    };
  }

  async #start(): Promise<void> {
    if (this.#options.handleSignals ?? true) this.#handleSignals();
    await this.#session.register();
    void this.#stayInTouch();
    void this.#watchTouch();
  }

  async #stop(graceSeconds: number): Promise<void> {
    const { path, over } = this.#session;
    try {
      this.#work.close();
      if (this.#session.incarnation === null) return;
      const grace = linked(this.#ending.signal);
      const later = sleep(graceSeconds * 1000, grace.signal);
      // An older coordinator drains nobody: then what is not started moves when the agent unregisters.
      const drain = { body: { mode: "finish" }, signal: grace.signal };
      const told = this.#session.call("POST", `${path}/drain`, drain).catch(() => {});
      await Promise.race([Promise.all([told, this.#work.allSettled()]), later]);
      grace.abort();
      this.#work.revokeAll("stopping");
      await Promise.race([this.#work.allSettled(), sleep(LAST_WORDS_MS)]);
      // Whoever does not answer will notice by itself.
      const leaving = { isRepeatable: true, retries: 2, timeoutSeconds: 5 };
      await this.#session.call("DELETE", path, leaving).catch(() => {});
    } finally {
      this.#ending.abort(new TaskRevokedError("stopping"));
      over.abort(new TaskRevokedError("stopping"));
      this.#emitter.emit("stopped", {});
    }
  }

  /** A socket for as long as there is one, and HTTP in between. */
  async #stayInTouch(): Promise<void> {
    const { signal } = this.#ending;
    const wantsSocket = this.#options.transport !== "http" && typeof WebSocket !== "undefined";
    if (!wantsSocket) this.#poll();
    for (let tries = 0; wantsSocket && !signal.aborted; tries++) {
      // With the token of an incarnation that is over it would be closed again.
      await orAborted(this.#session.renewal, signal).catch(() => {});
      const isFirst = tries === 0 && this.#polling === null;
      const headStartMs = isFirst ? Math.min(SOCKET_HEAD_START_MS, this.#session.intervalMs / 2) : 0;
      const opening = Socket.open(this.#session, (push) => this.#hear(push), this.#options.load);
      const early = await Promise.race([opening, sleep(headStartMs, signal)]);
      if (!early) this.#poll();
      const socket = await opening;
      if (socket !== null) {
        if (signal.aborted) return socket.close("stopping");
        const openedAtMs = performance.now();
        await this.#useSocket(socket);
        // One that is cut as soon as it is open must not be opened again and again.
        if (performance.now() - openedAtMs >= this.#session.intervalMs) tries = 0;
      }
      if (signal.aborted) return;
      this.#poll();
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
    }
  }

  async #useSocket(socket: Socket): Promise<void> {
    const { signal } = this.#ending;
    const end = () => socket.close("stopping");
    signal.addEventListener("abort", end);
    this.#work.socket = socket;
    this.#polling?.abort();
    this.#polling = null;
    this.#inTouch("socket");
    // What was pushed while there was no socket.
    const catchUp = async () => {
      await this.#reconcile(signal);
      if (this.#mailbox.handler !== null) await this.#mailbox.read(0, signal);
    };
    void this.#insist(catchUp, signal);
    const reason = await socket.closed;
    this.#work.socket = null;
    signal.removeEventListener("abort", end);
    this.#lostTouch(reason);
  }

  #hear(push: Push): void {
    switch (push.type) {
      case "task_assigned":
        this.#work.offer(push.task);
        break;
      case "task_revoked":
        this.#work.revoke(push.task_id, push.attempt, push.reason);
        break;
      case "message":
        if (this.#mailbox.handler !== null) void this.#mailbox.take(push.message);
        break;
      case "drain":
        this.#emitter.emit("drain", { mode: push.mode, deadline_at: push.deadline_at });
        break;
      case "session_expired":
        void this.#renew();
        break;
      default:
      // Of something that this client does not know yet, or did not ask for.
    }
  }

  /** The next incarnation, and what became of its tasks. */
  async #renew(): Promise<void> {
    const { signal } = this.#ending;
    await orAborted(this.#session.renew(this.#session.current), signal).catch(() => {});
    if (!signal.aborted) await this.#insist(() => this.#reconcile(signal), signal);
  }

  // Without a socket

  #poll(): void {
    if (this.#polling !== null || this.#ending.signal.aborted) return;
    const polling = linked(this.#ending.signal);
    this.#polling = polling;
    void Promise.all([
      this.#beat(polling.signal),
      this.#repeat(() => this.#takeTasks(polling.signal), polling.signal),
      this.#mailbox.handler === null
        ? null
        : this.#repeat(() => this.#mailbox.read(this.#pollSeconds(), polling.signal), polling.signal),
    ]).finally(polling.dispose);
  }

  #pollSeconds(): number {
    return Math.min(LONGEST_POLL_SECONDS, this.#session.intervalMs / 1000);
  }

  async #beat(signal: AbortSignal): Promise<void> {
    for (let tries = 0; !signal.aborted; ) {
      const sentAtMs = performance.now();
      const { intervalMs } = this.#session;
      const load = this.#options.load?.();
      try {
        const body = load === undefined ? {} : { load };
        const call = { body, signal, timeoutSeconds: Math.max(1, intervalMs / 1000) };
        await this.#session.call<HeartbeatAnswer>("POST", `${this.#session.path}/heartbeat`, call);
        this.#inTouch("http");
        tries = 0;
        if (this.#work.running.length > 0) await this.#reconcile(signal);
        await sleep(sentAtMs + intervalMs - performance.now(), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isWorthRepeating(error)) this.#lostTouch(String(error));
        else this.#emitter.emit("error", { error });
        await sleep(Math.min(intervalMs, backoffMs(tries++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS)), signal);
      }
    }
  }

  async #takeTasks(signal: AbortSignal): Promise<void> {
    const wait_seconds = this.#pollSeconds();
    const call = { query: { wait_seconds }, signal, timeoutSeconds: wait_seconds + 10 };
    const { items } = await this.#session.call<{ items: Task[] }>("GET", `${this.#session.path}/tasks`, call);
    for (const task of items) this.#work.offer(task);
    if (this.#stopped !== null) await sleep(this.#session.intervalMs, signal);
    // A list that still shows what is about to be started would come back at once, again and again.
    await orAborted(this.#work.allStarted(), signal);
    await sleep(POLL_PAUSE_MS, signal);
  }

  /** Asks what this agent holds: takes what it has not seen, gives up what is no longer its own. */
  async #reconcile(signal: AbortSignal): Promise<void> {
    const before = this.#work.running;
    const held: Task[] = [];
    let cursor: string | null | undefined;
    do {
      const query = { status: "assigned,running", limit: 500, cursor };
      const page: { items: Task[]; next_cursor: string | null } = await this.#session.call(
        "GET",
        `${this.#session.path}/tasks`,
        { query, signal, retries: 2 },
      );
      held.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    for (const { id, attempt } of before) {
      if (!held.some((task) => task.id === id && task.attempt === attempt))
        this.#work.revoke(id, attempt, "reassigned");
    }
    for (const task of held) if (task.status === "assigned") this.#work.offer(task);
  }

  async #repeat(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#insist(step, signal);
  }

  /** Until it has succeeded once. */
  async #insist(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        return await step();
      } catch (error) {
        if (signal.aborted) return;
        if (!isWorthRepeating(error)) this.#emitter.emit("error", { error });
      }
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_POLL_SECONDS * 1000), signal);
    }
  }

  // In touch or not

  #inTouch(transport: "socket" | "http"): void {
    if (this.#transport !== transport) this.#emitter.emit("connected", { transport });
    this.#transport = transport;
  }

  #lostTouch(reason: string): void {
    if (this.#transport !== null && !this.#ending.signal.aborted)
      this.#emitter.emit("disconnected", { reason });
    this.#transport = null;
  }

  async #watchTouch(): Promise<void> {
    const { signal } = this.#ending;
    const { abortWhenOutOfTouch = false } = this.#options;
    let isOut = false;
    let gaveUpAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const leftMs = this.#session.timeoutMs - this.#session.silentForMs;
      if (leftMs <= 0 && !isOut) {
        this.#emitter.emit("outOfTouch", { seconds: this.#session.silentForMs / 1000 });
        if (abortWhenOutOfTouch) {
          this.#work.revokeAll("out_of_touch");
          gaveUpAtMs = performance.now();
        }
      }
      // What was given up is told apart from what runs by a new incarnation, which claims the latter alone. If the
      // one before was declared failed, there is one already.
      if (leftMs > 0 && isOut && this.#session.registeredAtMs < gaveUpAtMs) void this.#renew();
      isOut = leftMs <= 0;
      await sleep(leftMs > 0 ? leftMs : this.#session.intervalMs, signal);
    }
  }

  #handleSignals(): void {
    const { process } = globalThis as { process?: Partial<NodeJS.Process> };
    if (typeof process?.on !== "function") return;
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      const stop = () => {
        process.off?.(name, stop);
        // Then it ends as it would have, unless others have taken that upon them.
        void this.stop().finally(() => {
          if (process.listenerCount?.(name) === 0) process.kill?.(process.pid ?? 0, name);
        });
      };
      process.on(name, stop);
      this.#ending.signal.addEventListener("abort", () => process.off?.(name, stop));
    }
  }
}
