/**
 * A whole agent: it registers, shows that it lives, takes tasks, works on them with the handlers it is given, and
 * reports. What it is told to be and do is here, and how it begins and ends; each of its parts has a file.
 *
 *   start --registered--> in touch <----> out of touch (goes on working, registers again)
 *                            '--- stop: drains, finishes, unregisters
 */

import { linked, sleep } from "../cancellation.ts";
import { TaskRevokedError } from "../errors.ts";
import { type ClientOptions, Http } from "../http.ts";
import type { AgentMessage, JsonValue, Load, MessageSending } from "../wire.ts";
import { type AgentEvents, Emitter, type Listener } from "./agent-events.ts";
import { askLoad } from "./load-reader.ts";
import { type LockOptions, LockService } from "./lock-service.ts";
import { Mailbox, type MessageHandler } from "./mailbox.ts";
import { Session } from "./session.ts";
import { type Handler, TaskRunner } from "./task-runner.ts";
import { Transport } from "./transport.ts";

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

/** As the coordinator wants it. */
const AGENT_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
/** After the grace handlers that listen to their signal get so much time to end. */
const LAST_WORDS_MS = 1000;

export class Agent {
  readonly id: string;
  readonly #options: AgentOptions;
  readonly #emitter = new Emitter();
  readonly #session: Session;
  readonly #work: TaskRunner;
  readonly #mailbox: Mailbox;
  readonly #locks: LockService;
  readonly #transport: Transport;
  #started: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  /** Ends the transport; the session's own end comes last. */
  readonly #ending = new AbortController();

  /**
   * Makes no call; `start` does.
   * @example
   * const agent = new Agent({ token: "…", id: "agent1", labels: { zone: "a" }, maxConcurrentTasks: 4 });
   * console.log(agent.id);
   */
  constructor(options: AgentOptions) {
    if (!AGENT_ID.test(options.id ?? "")) {
      throw new TypeError(
        `id: 1 to 128 of A-Z a-z 0-9 . _ : - are needed, not ${JSON.stringify(options.id)}`,
      );
    }
    this.id = options.id;
    this.#options = options;
    const group = options.group ?? "default";
    const path = `/groups/${encodeURIComponent(group)}/agents/${encodeURIComponent(options.id)}`;
    this.#session = new Session(new Http(options), path, this.#emitter, () => this.#registration());
    this.#work = new TaskRunner(options.id, options.maxConcurrentTasks ?? 10, this.#session, this.#emitter);
    this.#mailbox = new Mailbox(this.#session, this.#emitter);
    this.#locks = new LockService(this.#session, options.id, group);
    this.#transport = new Transport({
      session: this.#session,
      work: this.#work,
      mailbox: this.#mailbox,
      emitter: this.#emitter,
      load: askLoad(options.load, this.#emitter),
      abortWhenOutOfTouch: options.abortWhenOutOfTouch,
      transport: options.transport,
      ending: this.#ending.signal,
    });
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
   * that want the same lock take turns. `signal` is aborted after nine tenths of the TTL without a renewal, after a
   * heartbeat timeout out of touch, when this agent hears that its incarnation is over, and before `stop` unregisters.
   * A broken connection ends an agent that is not heard again within the server's `reconnect_grace_seconds` (5), before
   * it knows. So pass the fencing token to what the lock protects, and let that refuse smaller ones.
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
    this.#transport.start();
  }

  async #stop(graceSeconds: number): Promise<void> {
    const { path, over } = this.#session;
    try {
      this.#work.close();
      if (!(await this.#session.isRegistered())) return;
      const grace = linked(this.#ending.signal);
      const later = sleep(graceSeconds * 1000, grace.signal);
      // An older coordinator drains nobody: then what is not started moves when the agent unregisters.
      const drain = { body: { mode: "finish" }, signal: grace.signal };
      const told = this.#session.call("POST", `${path}/drain`, drain).catch(() => {});
      await Promise.race([Promise.all([told, this.#work.allSettled()]), later]);
      grace.abort();
      this.#work.revokeAll("stopping");
      // Its locks are free when it has left.
      this.#session.endLife();
      const settled = Promise.all([this.#work.allSettled(), this.#locks.allSettled()]);
      await Promise.race([settled, sleep(LAST_WORDS_MS)]);
      await this.#session.unregister();
    } finally {
      this.#ending.abort(new TaskRevokedError("stopping"));
      over.abort(new TaskRevokedError("stopping"));
      this.#emitter.emit("stopped", {});
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
