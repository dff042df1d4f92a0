/**
 * The tasks an agent has: each attempt is started with permission, worked on, and reported until it is answered.
 *
 *   waiting --a slot is free--> starting --permitted--> running --handler is done--> reporting --answered--> gone
 *      '--- revoked: gone ---------'                       '--- revoked: signal aborted, runs out by itself
 *
 * At most `slots` handlers run at a time. A newer attempt of the same task waits until the older one has ended, so
 * that this process never works twice on one task at the same time.
 */

import { backoffMs, sleep } from "../cancellation.ts";
import { FailoverError, StaleAttemptError, TaskRevokedError } from "../errors.ts";
import { isWorthRepeating, messageOf } from "../http.ts";
import type { JsonValue, Task } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import { isExpiry, type Session } from "./session.ts";
import type { Socket } from "./socket.ts";

/** What a handler gets beside its task. */
export type Attempt = {
  /** Aborted, with a `TaskRevokedError`, when the task is no longer this agent's: give up. */
  readonly signal: AbortSignal;
  /** Counts from 1 over all agents. Where the work takes effect, let an older attempt be refused. */
  readonly attempt: number;
  /**
   * Tells how far it is, 0 to 1, and restarts `progress_timeout_seconds`. It does not hold up the work when nobody
   * answers. @throws {TaskRevokedError} when the task is no longer this agent's
   */
  progress(fraction: number): Promise<void>;
};

/**
 * Does a task. What it returns is the task's result, JSON of at most 256 KB. What it throws fails the task, which is
 * tried again unless the error has `retryable: false`.
 */
export type Handler<Data = JsonValue> = (
  task: Task & { data: Data },
  attempt: Attempt,
) => Promise<unknown> | unknown;

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

export class TaskRunner {
  readonly handlers = new Map<string, Handler>();
  /** Reports go over it while it is open. */
  socket: Socket | null = null;
  readonly #agentId: string;
  readonly #slots: number;
  readonly #session: Session;
  readonly #emitter: Emitter;
  readonly #entries = new Map<string, Entry>();
  #taken = 0;
  readonly #queue = new Set<() => void>();
  #isClosed = false;

  constructor(agentId: string, slots: number, session: Session, emitter: Emitter) {
    this.#agentId = agentId;
    this.#slots = slots;
    this.#session = session;
    this.#emitter = emitter;
  }

  /** What a registration says this agent still works on. */
  get claimed(): { task_id: string; attempt: number }[] {
    return [...this.#entries.values()]
      .filter(({ abort }) => !abort.signal.aborted)
      .map(({ task }) => ({ task_id: task.id, attempt: task.attempt }));
  }

  /** Attempts that the coordinator knows to run here. */
  get running(): Task[] {
    return [...this.#entries.values()].filter(({ phase }) => phase === "running").map(({ task }) => task);
  }

  /** Nothing that is offered is taken any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when nothing that was offered waits for its start any more. */
  async allStarted(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(({ started }) => started));
  }

  async allSettled(): Promise<void> {
    while (this.#entries.size > 0)
      await Promise.all([...this.#entries.values()].map(({ settled }) => settled));
  }

  /** Takes what was assigned; an attempt that is known already, or older, is none. */
  offer(task: Task): void {
    const known = this.#entries.get(task.id);
    if (this.#isClosed || (known !== undefined && known.task.attempt >= task.attempt)) return;
    if (known !== undefined) this.#revokeEntry(known, "reassigned");
    let hasStarted = () => {};
    const started = new Promise<void>((resolve) => {
      hasStarted = resolve;
    });
    const entry: Entry = {
      task,
      phase: "waiting",
      abort: new AbortController(),
      started,
      settled: Promise.resolve(),
    };
    this.#entries.set(task.id, entry);
    entry.settled = this.#carryOut(entry, known?.settled, hasStarted)
      .catch((error: unknown) => {
        // Once the agent has left, nobody wants to know any more.
        if (!this.#session.over.signal.aborted) this.#emitter.emit("error", { error });
      })
      .finally(() => {
        hasStarted();
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

  /** Starts nothing more. What waits for its start is let go; it moves on when the agent leaves. */
  close(): void {
    this.#isClosed = true;
    for (const entry of this.#entries.values())
      if (entry.phase === "waiting") this.#revokeEntry(entry, "stopping");
  }

  #revokeEntry({ task, abort, phase }: Entry, reason: string): void {
    // What is done can only be reported: it may be missing from a list because the report has just been heard.
    if (abort.signal.aborted || phase === "reporting") return;
    abort.abort(new TaskRevokedError(reason));
    if (phase === "running") this.#emitter.emit("revoked", { task, reason });
  }

  async #carryOut(entry: Entry, before: Promise<void> | undefined, hasStarted: () => void): Promise<void> {
    await before;
    if (!(await this.#takeSlot(entry.abort.signal))) return this.#wakeNext();
    try {
      if (!(await this.#start(entry))) return;
      hasStarted();
      await this.#tell(entry, await this.#outcome(entry));
    } finally {
      this.#taken--;
      this.#wakeNext();
    }
  }

  /** @returns false if the attempt was revoked before its turn came */
  async #takeSlot(signal: AbortSignal): Promise<boolean> {
    while (this.#taken >= this.#slots && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const turn = () => {
          this.#queue.delete(turn);
          signal.removeEventListener("abort", turn);
          resolve();
        };
        this.#queue.add(turn);
        signal.addEventListener("abort", turn);
      });
    }
    if (signal.aborted) return false;
    this.#taken++;
    return true;
  }

  #wakeNext(): void {
    const [turn] = this.#queue;
    if (this.#taken < this.#slots) turn?.();
  }

  /** @returns whether there is permission to work */
  async #start(entry: Entry): Promise<boolean> {
    entry.phase = "starting";
    try {
      await this.#report(entry, "start", {});
    } catch (error) {
      if (!(error instanceof FailoverError)) throw error;
      // It went elsewhere in the meantime, or was cancelled: nothing was lost.
      if (error.status !== 404 && error.status !== 409) {
        this.#emitter.emit("error", { error });
        // It would be offered again at once.
        await sleep(LONGEST_PAUSE_MS, this.#session.over.signal);
      }
      return false;
    }
    if (entry.abort.signal.aborted) return false;
    entry.phase = "running";
    return true;
  }

  /** @returns what to report, null if there is nothing to say */
  async #outcome(entry: Entry): Promise<{ result: unknown } | { error: object } | null> {
    const { task, abort } = entry;
    const handler = this.handlers.get(task.type);
    try {
      if (handler === undefined) throw new Error(`this agent has no handler for ${task.type}`);
      const result = await handler(task, {
        signal: abort.signal,
        attempt: task.attempt,
        progress: (fraction) => this.#progress(entry, fraction),
      });
      // What is no JSON shows here, as a failure of the handler.
      return { result: JSON.parse(JSON.stringify(result ?? null)) };
    } catch (error) {
      // Whoever gave up because it was told to has not failed.
      return abort.signal.aborted ? null : { error: failureOf(error) };
    } finally {
      entry.phase = "reporting";
    }
  }

  async #tell(entry: Entry, outcome: { result: unknown } | { error: object } | null): Promise<void> {
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
      // A result that cannot be taken, too large for one, must not leave the task running for ever.
      if (kind === "complete" && error.status < 500 && error.status !== 404 && error.status !== 409) {
        await this.#tell(entry, { error: { message: `result refused: ${error.message}`, retryable: false } });
      }
    }
  }

  async #progress(entry: Entry, progress: number): Promise<void> {
    entry.abort.signal.throwIfAborted();
    try {
      await this.#reportOnce(entry, "progress", { progress });
    } catch (error) {
      if (error instanceof StaleAttemptError) this.#revokeEntry(entry, "reassigned");
      else if (error instanceof FailoverError && !isWorthRepeating(error) && !isExpiry(error)) throw error;
    }
    entry.abort.signal.throwIfAborted();
  }

  /** Says it until it is answered: every report may be repeated. */
  async #report(entry: Entry, kind: string, fields: object): Promise<Task | undefined> {
    const { signal } = this.#session.over;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#reportOnce(entry, kind, fields);
      } catch (error) {
        signal.throwIfAborted();
        if (!isWorthRepeating(error)) throw error;
      }
      await sleep(backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS), signal);
      signal.throwIfAborted();
    }
  }

  async #reportOnce({ task }: Entry, kind: string, fields: object): Promise<Task | undefined> {
    const frame = { type: `task_${kind}`, task_id: task.id, attempt: task.attempt, ...fields };
    // A frame that is too long would end the socket; over HTTP it is refused in order.
    const { socket } = this;
    if (socket?.fits(frame)) {
      try {
        const { task: standing } = await socket.request(frame);
        // An answer over a socket leaves out what a task carries; the result is what was just sent.
        const result = "result" in fields ? (fields.result as Task["result"]) : task.result;
        return standing === undefined ? undefined : { ...task, ...standing, result };
      } catch (error) {
        if (!isExpiry(error)) throw error;
        await this.#session.renew(socket.registered);
      }
    }
    const body = { agent_id: this.#agentId, attempt: task.attempt, ...fields };
    const path = `/tasks/${encodeURIComponent(task.id)}/${kind}`;
    return (
      await this.#session.call<{ task: Task }>("POST", path, { body, signal: this.#session.over.signal })
    ).task;
  }
}

function failureOf(error: unknown): { message: string; retryable: boolean } {
  const isFinal =
    typeof error === "object" && error !== null && "retryable" in error && error.retryable === false;
  return { message: messageOf(error).slice(0, MESSAGE_LIMIT), retryable: !isFinal };
}
