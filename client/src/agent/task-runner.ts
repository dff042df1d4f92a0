/**
 * Runs the tasks of an agent: each attempt is started with the coordinator's permission, run by its handler, and
 * reported until the report is answered.
 *
 *   waiting --a slot is free--> starting --permitted--> running --handler is done--> reporting --answered--> gone
 *      '--- revoked: gone ---------'                       '--- revoked: signal aborted, the handler ends
 *
 * At most `slots` handlers run at a time. A newer attempt of the same task waits until the older one has ended, so
 * that this process never runs two attempts of one task at the same time.
 */

import { sleep } from "../cancellation.ts";
import { FailoverError, StaleAttemptError, TaskRevokedError } from "../errors.ts";
import { messageOf } from "../http.ts";
import { backoffMs, isTransient, isUnreachable } from "../retry.ts";
import type { JsonValue, Task } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import { endOf, isExpiry, type Session } from "./session.ts";
import type { Socket } from "./socket.ts";

/** The second argument of a handler. */
export type Attempt = {
  /** Aborted, with a `TaskRevokedError`, when the task no longer belongs to this agent: stop working then. */
  readonly signal: AbortSignal;
  /** Counts from 1 over all agents, so that other systems can refuse an older attempt. */
  readonly attempt: number;
  /**
   * Reports progress, 0 to 1, and restarts `progress_timeout_seconds`. Resolves also without an answer.
   * @throws {TaskRevokedError} the task no longer belongs to this agent
   */
  progress(fraction: number): Promise<void>;
};

/**
 * Runs a task. Its return value is the result of the task, JSON of at most 256 KB. An exception fails the task, which
 * is retried unless the error has `retryable: false`.
 */
export type Handler<Data = JsonValue> = (
  task: Task & { data: Data },
  attempt: Attempt,
) => Promise<unknown> | unknown;

type Outcome = { result: unknown } | { error: object };
type Phase = "waiting" | "starting" | "running" | "reporting";
type Entry = {
  task: Task;
  phase: Phase;
  abort: AbortController;
  settled: Promise<void>;
  started: Promise<void>;
};

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
/** Longest message of an error that the coordinator takes. */
const MESSAGE_LIMIT = 8192;

export type TaskRunnerParts = {
  agentId: string;
  /** Most handlers that run at a time. */
  slots: number;
  session: Session;
  emitter: Emitter;
};

export class TaskRunner {
  readonly handlers = new Map<string, Handler>();
  /** Reports are sent over it while it is open. */
  socket: Socket | null = null;
  readonly #agentId: string;
  readonly #slots: number;
  readonly #session: Session;
  readonly #emitter: Emitter;
  readonly #entries = new Map<string, Entry>();
  #usedSlots = 0;
  /** Attempts that wait for a slot, first come, first served. */
  readonly #slotQueue = new Set<() => void>();
  #isClosed = false;

  constructor({ agentId, slots, session, emitter }: TaskRunnerParts) {
    this.#agentId = agentId;
    this.#slots = slots;
    this.#session = session;
    this.#emitter = emitter;
  }

  /** The attempts that a registration lists as still running. */
  get claimed(): { task_id: string; attempt: number }[] {
    return [...this.#entries.values()]
      .filter(({ abort }) => !abort.signal.aborted)
      .map(({ task }) => ({ task_id: task.id, attempt: task.attempt }));
  }

  /** Attempts that the coordinator has permitted, with a handler that runs. */
  get running(): Task[] {
    return [...this.#entries.values()].filter(({ phase }) => phase === "running").map(({ task }) => task);
  }

  /** Whether new offers are ignored. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when every attempt offered so far has started, or has ended without that. */
  async allStarted(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ started }) => started));
  }

  async allSettled(): Promise<void> {
    while (this.#entries.size > 0)
      await Promise.all([...this.#entries.values()].map(({ settled }) => settled));
  }

  /** Accepts an assigned task; ignores an attempt that is known already, and older ones. */
  offer(task: Task): void {
    const known = this.#entries.get(task.id);
    if (this.#isClosed || (known !== undefined && known.task.attempt >= task.attempt)) return;
    if (known !== undefined) this.#revokeEntry(known, "reassigned");
    let markStarted = () => {};
    const started = new Promise<void>((resolve) => {
      markStarted = resolve;
    });
    const entry: Entry = {
      task,
      phase: "waiting",
      abort: new AbortController(),
      started,
      settled: Promise.resolve(),
    };
    this.#entries.set(task.id, entry);
    entry.settled = this.#run(entry, known?.settled, markStarted)
      .catch((error: unknown) => {
        // A stopped agent ends its reports with an exception.
        if (!this.#session.stopped.aborted) this.#emitter.emit("error", { error });
      })
      .finally(() => {
        markStarted();
        if (this.#entries.get(task.id) === entry) this.#entries.delete(task.id);
      });
  }

  revoke(taskId: string, attempt: number, reason: string): void {
    const entry = this.#entries.get(taskId);
    if (entry !== undefined && entry.task.attempt <= attempt) this.#revokeEntry(entry, reason);
  }

  revokeAll(reason: string): void {
    for (const entry of this.#entries.values()) this.#revokeEntry(entry, reason);
  }

  /** Ignores new offers, and drops attempts that wait. The coordinator reassigns those when the agent unregisters. */
  close(): void {
    this.#isClosed = true;
    for (const entry of this.#entries.values())
      if (entry.phase === "waiting") this.#revokeEntry(entry, "stopping");
  }

  #revokeEntry({ task, abort, phase }: Entry, reason: string): void {
    // A finished attempt is only reported. It is missing from the list of assigned tasks as soon as the coordinator
    // has received the report.
    if (abort.signal.aborted || phase === "reporting") return;
    abort.abort(new TaskRevokedError(reason));
    if (phase === "running") this.#emitter.emit("revoked", { task, reason });
  }

  async #run(entry: Entry, previous: Promise<void> | undefined, markStarted: () => void): Promise<void> {
    await previous;
    if (!(await this.#takeSlot(entry.abort.signal))) return this.#wakeNext();
    try {
      if (!(await this.#start(entry))) return;
      markStarted();
      await this.#reportOutcome(entry, await this.#outcomeOf(entry));
    } finally {
      this.#usedSlots--;
      this.#wakeNext();
    }
  }

  /** @returns false if the attempt was revoked before its turn came */
  async #takeSlot(signal: AbortSignal): Promise<boolean> {
    while (this.#usedSlots >= this.#slots && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const turn = () => {
          this.#slotQueue.delete(turn);
          signal.removeEventListener("abort", turn);
          resolve();
        };
        this.#slotQueue.add(turn);
        signal.addEventListener("abort", turn);
      });
    }
    if (signal.aborted) return false;
    this.#usedSlots++;
    return true;
  }

  #wakeNext(): void {
    const [turn] = this.#slotQueue;
    if (this.#usedSlots < this.#slots) turn?.();
  }

  /** @returns whether the coordinator permits the attempt */
  async #start(entry: Entry): Promise<boolean> {
    entry.phase = "starting";
    try {
      await this.#report(entry, "start", {});
    } catch (error) {
      if (!(error instanceof FailoverError)) throw error;
      // The task was reassigned or cancelled meanwhile, which is no error.
      if (error.status !== 404 && error.status !== 409) {
        this.#emitter.emit("error", { error });
        // Without this pause, the next poll would offer it again at once.
        await sleep(LONGEST_PAUSE_MS, this.#session.stopped);
      }
      return false;
    }
    if (entry.abort.signal.aborted) return false;
    entry.phase = "running";
    return true;
  }

  /** Runs the handler. @returns null if there is nothing to report */
  async #outcomeOf(entry: Entry): Promise<Outcome | null> {
    const { task, abort } = entry;
    const handler = this.handlers.get(task.type);
    try {
      if (handler === undefined) throw new Error(`this agent has no handler for ${task.type}`);
      const result = await handler(task, {
        signal: abort.signal,
        attempt: task.attempt,
        progress: (fraction) => this.#progress(entry, fraction),
      });
      // A result that is not JSON throws here, as a failure of the handler.
      return { result: JSON.parse(JSON.stringify(result ?? null)) };
    } catch (error) {
      // A handler that stops because its signal is aborted has not failed.
      return abort.signal.aborted ? null : { error: failureOf(error) };
    } finally {
      entry.phase = "reporting";
    }
  }

  async #reportOutcome(entry: Entry, outcome: Outcome | null): Promise<void> {
    if (outcome === null) return;
    const kind = "result" in outcome ? "complete" : "fail";
    try {
      const task = await this.#report(entry, kind, outcome);
      this.#emitter.emit("reported", { task: task ?? entry.task });
    } catch (error) {
      if (!(error instanceof FailoverError)) throw error;
      if (error instanceof StaleAttemptError)
        return this.#emitter.emit("lateResult", { task: entry.task, error });
      this.#emitter.emit("error", { error });
      // A refused result, one that is too large for example, must not leave the task running for ever.
      if (kind === "complete" && error.status < 500 && error.status !== 404 && error.status !== 409) {
        const message = `the result was refused: ${error.message}`;
        await this.#reportOutcome(entry, { error: { message, retryable: false } });
      }
    }
  }

  async #progress(entry: Entry, progress: number): Promise<void> {
    entry.abort.signal.throwIfAborted();
    try {
      await this.#reportOnce(entry, "progress", { progress });
    } catch (error) {
      if (error instanceof StaleAttemptError) this.#revokeEntry(entry, "reassigned");
      else if (error instanceof FailoverError && !isTransient(error) && !isExpiry(error)) throw error;
    }
    entry.abort.signal.throwIfAborted();
  }

  /** Sends a report until it is answered. A repeated report has no further effect. */
  async #report(entry: Entry, kind: string, fields: object): Promise<Task | undefined> {
    const signal = this.#session.stopped;
    for (let tries = 0; ; tries++) {
      const pauseMs = backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
      const sentAtMs = performance.now();
      try {
        return await this.#reportOnce(entry, kind, fields);
      } catch (error) {
        signal.throwIfAborted();
        if (!isTransient(error)) throw error;
        if (isUnreachable(error)) await this.#session.reach.pause({ pauseMs, sentAtMs }, signal);
        else await sleep(pauseMs, signal);
      }
      signal.throwIfAborted();
    }
  }

  async #reportOnce({ task }: Entry, kind: string, fields: object): Promise<Task | undefined> {
    const frame = { type: `task_${kind}`, task_id: task.id, attempt: task.attempt, ...fields };
    // The server closes the socket for a frame that is too long. Over HTTP the report is refused with an error.
    const { socket } = this;
    if (socket?.fits(frame)) {
      try {
        const { task: state } = await socket.request(frame);
        // An answer over the socket leaves out the data and the result of the task, which are known here.
        const result = "result" in fields ? (fields.result as Task["result"]) : task.result;
        return state === undefined ? undefined : { ...task, ...state, result };
      } catch (error) {
        if (!isExpiry(error)) throw error;
        await this.#session.renew(socket.registered, endOf(error));
      }
    }
    const body = { agent_id: this.#agentId, attempt: task.attempt, ...fields };
    const path = `/tasks/${encodeURIComponent(task.id)}/${kind}`;
    const call = { body, signal: this.#session.stopped };
    return (await this.#session.call<{ task: Task }>("POST", path, call)).task;
  }
}

function failureOf(error: unknown): { message: string; retryable: boolean } {
  const isFinal =
    typeof error === "object" && error !== null && "retryable" in error && error.retryable === false;
  return { message: messageOf(error).slice(0, MESSAGE_LIMIT), retryable: !isFinal };
}
