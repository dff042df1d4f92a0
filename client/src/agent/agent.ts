/**
 * An agent: it registers, sends heartbeats, runs tasks with its handlers, and reports the results. Its public interface,
 * its start and its stop are here; each of its parts has a file.
 *
 *   start --registered--> in contact <----> out of contact (handlers continue)
 *                            |--- stop: drains, finishes its tasks, unregisters
 *                            '--- superseded, unregistered or revoked by others: aborts its tasks, does not unregister
 */

import { sleep } from "../cancellation.ts";
import { type AgentEndedError, TaskRevokedError } from "../errors.ts";
import { type ClientOptions, Http } from "../http.ts";
import type { AgentMessage, JsonValue, Load, MessageSending } from "../wire.ts";
import { type AgentEvents, Emitter, type Listener } from "./agent-events.ts";
import { loadReader } from "./load-reader.ts";
import { type LockOptions, LockService } from "./lock-service.ts";
import { Mailbox, type MessageHandler } from "./mailbox.ts";
import { Session } from "./session.ts";
import { type Handler, TaskRunner } from "./task-runner.ts";
import { Transport } from "./transport.ts";

export type AgentOptions = ClientOptions & {
  /** Unique in the cluster: 1 to 128 of `A-Z a-z 0-9 . _ : -`. Used by one process at a time. */
  id: string;
  /** Default `default`. */
  group?: string | undefined;
  /** The kind of agent, for people and filters. Default `worker`. */
  type?: string | undefined;
  /** Task types that the agent can run. Default: those with a handler. */
  capabilities?: string[] | undefined;
  /** An address of the agent, shown to others. */
  endpoint?: string | undefined;
  /** Default 10. */
  maxConcurrentTasks?: number | undefined;
  labels?: Record<string, string> | undefined;
  /** Default: as configured, 10. */
  heartbeatIntervalSeconds?: number | undefined;
  /** Without a heartbeat for so long, the agent is declared failed. Default: as configured, 30. */
  heartbeatTimeoutSeconds?: number | undefined;
  /** Called at each heartbeat. */
  load?: (() => Load) | undefined;
  /**
   * Abort all handlers after a whole timeout without contact, for work that two agents must never do at once.
   * Default false: a result counts if the task was not reassigned.
   */
  abortWhenOutOfTouch?: boolean | undefined;
  /** `http` never opens a socket. Default `socket`, where the platform has `WebSocket`. */
  transport?: "socket" | "http" | undefined;
  /** `SIGTERM` and `SIGINT` stop the agent; a second one ends the process at once. Default true (Node, Bun, Deno). */
  handleSignals?: boolean | undefined;
  /** Time for running tasks to finish when the agent stops. Default 30. */
  graceSeconds?: number | undefined;
};

/** The ids that the coordinator accepts. */
const AGENT_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
/** Handlers get so much time to react to their aborted signals, before the agent unregisters. */
const ABORT_LIMIT_MS = 1000;

export class Agent {
  readonly id: string;
  readonly #options: AgentOptions;
  readonly #emitter = new Emitter();
  readonly #session: Session;
  readonly #taskRunner: TaskRunner;
  readonly #mailbox: Mailbox;
  readonly #locks: LockService;
  readonly #transport: Transport;
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  /** Aborted when running tasks get no more time to finish. */
  readonly #grace = new AbortController();
  /** Aborted at the end of `stop`: ends every wait and every timer of the agent. */
  readonly #stopped = new AbortController();

  /**
   * Makes no call; `start` does.
   * @example
   * const agent = new Agent({ token: "…", id: "agent1", labels: { zone: "a" }, maxConcurrentTasks: 4 });
   * console.log(agent.id);
   */
  constructor(options: AgentOptions) {
    if (!AGENT_ID.test(options.id ?? "")) {
      throw new TypeError(`id must be 1 to 128 of A-Z a-z 0-9 . _ : -, not ${JSON.stringify(options.id)}`);
    }
    this.id = options.id;
    this.#options = options;
    const group = options.group ?? "default";
    const path = `/groups/${encodeURIComponent(group)}/agents/${encodeURIComponent(options.id)}`;
    const emitter = this.#emitter;
    const stopped = this.#stopped.signal;
    const registration = () => this.#registration();
    const session = new Session({
      http: new Http(options),
      agentId: options.id,
      path,
      emitter,
      registration,
      onEnd: ({ reason }) => {
        this.#grace.abort();
        this.#taskRunner.revokeAll(reason);
        void this.stop({ graceSeconds: 0 });
      },
      stopped,
    });
    const slots = options.maxConcurrentTasks ?? 10;
    const taskRunner = new TaskRunner({ agentId: options.id, slots, session, emitter });
    const mailbox = new Mailbox(session, emitter);
    this.#session = session;
    this.#taskRunner = taskRunner;
    this.#mailbox = mailbox;
    this.#locks = new LockService(session, options.id, group);
    this.#transport = new Transport({
      session,
      taskRunner,
      mailbox,
      emitter,
      readLoad: loadReader(options.load, emitter),
      abortWhenOutOfTouch: options.abortWhenOutOfTouch,
      transport: options.transport,
      stopped,
    });
  }

  /** The number of the current incarnation; null before the agent is registered. */
  get incarnation(): number | null {
    return this.#session.incarnation;
  }

  /**
   * Sets the handler for a task type. Call it before `start`.
   * @example
   * agent.on("task_type1", async (task, { signal, progress, attempt }) => {
   *   await progress(0.5);
   *   signal.throwIfAborted();
   *   return { input: task.data, attempt };
   * });
   */
  on<Data = JsonValue>(taskType: string, handler: Handler<Data>): this {
    this.#taskRunner.handlers.set(taskType, handler as Handler);
    return this;
  }

  /**
   * Sets the handler for messages, called in order, one at a time. Call it before `start`.
   * @example
   * agent.onMessage(({ from, message_type, content }) => console.log(from, message_type, content));
   */
  onMessage(handler: MessageHandler): this {
    this.#mailbox.handler = handler;
    return this;
  }

  /**
   * Listens to an event of this agent.
   * @returns removes the listener
   * @example
   * agent.listen("error", ({ error }) => console.error(error));
   * const stop = agent.listen("revoked", ({ task, reason }) => console.log(task.id, reason));
   * stop();
   */
  listen<Name extends keyof AgentEvents>(name: Name, listener: Listener<Name>): () => void {
    return this.#emitter.listen(name, listener);
  }

  /**
   * Registers the agent and runs tasks. Retries until the coordinator answers.
   * @throws {FailoverError} the registration was refused
   * @example
   * agent.on("task_type1", () => "done");
   * await agent.start();
   * console.log(agent.incarnation);
   */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /**
   * Takes no new tasks, waits up to `graceSeconds` for running ones, then aborts these and unregisters. Heartbeats
   * continue meanwhile. Unfinished tasks are reassigned. No failure is recorded. An agent that the coordinator has ended
   * for good stops by itself: see the event `stopped`.
   * @example
   * await agent.stop({ graceSeconds: 10 });
   */
  stop({ graceSeconds = this.#options.graceSeconds ?? 30 }: { graceSeconds?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(graceSeconds);
    return this.#stopping;
  }

  /**
   * Runs a function while holding a lock, which is renewed meanwhile and released at the end. Tasks of this agent that
   * want the same lock take turns. `signal` is aborted after nine tenths of the TTL without a renewal, after a heartbeat
   * timeout without contact, when the agent learns that its incarnation has ended, and before `stop` unregisters. After
   * a broken connection the agent may be declared failed before it knows. So pass the fencing token to the system that
   * the lock protects, which must refuse smaller ones.
   * @throws {LockHeldError} not granted within `waitSeconds`
   * @throws {LockLostError} lost before `use` was done
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
   * Sends a message from this agent to another agent of the cluster.
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
      capabilities: capabilities ?? [...this.#taskRunner.handlers.keys()],
      endpoint,
      labels,
      max_concurrent_tasks: options.maxConcurrentTasks,
      heartbeat_interval_seconds: options.heartbeatIntervalSeconds,
      heartbeat_timeout_seconds: options.heartbeatTimeoutSeconds,
      running_tasks: this.#taskRunner.claimed,
    };
  }

  async #start(): Promise<void> {
    if (this.#options.handleSignals ?? true) this.#handleSignals();
    await this.#session.register();
    this.#transport.start();
  }

  async #stop(graceSeconds: number): Promise<void> {
    const { path } = this.#session;
    try {
      this.#taskRunner.close();
      if (!(await this.#session.isRegistered())) return;
      const { signal } = this.#grace;
      if (!signal.aborted) {
        const graceEnd = sleep(graceSeconds * 1000, signal);
        // If the drain is refused, tasks that have not started are reassigned when the agent unregisters.
        const drain = { body: { mode: "finish" }, signal };
        const drained = this.#session.call("POST", `${path}/drain`, drain).catch(() => {});
        await Promise.race([Promise.all([drained, this.#taskRunner.allSettled()]), graceEnd]);
        this.#grace.abort();
      }
      this.#taskRunner.revokeAll("stopping");
      // Unregistering releases the locks, so the functions that hold them are aborted before.
      this.#session.endIncarnation();
      const settled = Promise.all([this.#taskRunner.allSettled(), this.#locks.allSettled()]);
      await Promise.race([settled, sleep(ABORT_LIMIT_MS, this.#stopped.signal)]);
      await this.#session.unregister();
    } finally {
      const { ended } = this.#session;
      this.#stopped.abort(ended ?? new TaskRevokedError("stopping"));
      if (ended !== null) this.#reportEnd(ended);
      this.#emitter.emit("stopped", { error: ended });
    }
  }

  /** The program learns from `stopped` that the agent has ended; without a listener, from the exit code of its process. */
  #reportEnd(error: AgentEndedError): void {
    this.#emitter.emit("error", { error });
    const { process } = globalThis as { process?: Partial<NodeJS.Process> };
    const ownsProcess = this.#options.handleSignals ?? true;
    if (ownsProcess && process !== undefined && !this.#emitter.isHeard("stopped")) process.exitCode = 1;
  }

  #handleSignals(): void {
    const { process } = globalThis as { process?: Partial<NodeJS.Process> };
    if (typeof process?.on !== "function") return;
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      const stop = () => {
        process.off?.(name, stop);
        // The signal then ends the process as if there were no handler, unless the program has one of its own.
        void this.stop().finally(() => {
          if (process.listenerCount?.(name) === 0) process.kill?.(process.pid ?? 0, name);
        });
      };
      process.on(name, stop);
      this.#stopped.signal.addEventListener("abort", () => process.off?.(name, stop));
    }
  }
}
