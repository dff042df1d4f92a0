/** An agent's contact over HTTP: a heartbeat at each interval, and long polls for tasks and for messages. */
import { linkedAbort, orAborted, sleep } from "../cancellation.ts";
import { backoffMs, isTransient, retryUntilDone } from "../retry.ts";
import type { HeartbeatAnswer } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import type { AssignedTasks } from "./assigned-tasks.ts";
import type { ContactMonitor } from "./contact-monitor.ts";
import type { ReadLoad } from "./load-reader.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export type HttpPollingParts = {
  session: Session;
  taskRunner: TaskRunner;
  assignedTasks: AssignedTasks;
  mailbox: Mailbox;
  emitter: Emitter;
  contact: ContactMonitor;
  readLoad: ReadLoad;
  /** Aborted when the agent has stopped. */
  stopped: AbortSignal;
};

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_POLL_SECONDS = 30;
/** Between two polls, so that a coordinator that answers each poll at once is not flooded. */
const POLL_PAUSE_MS = 20;

export class HttpPolling {
  readonly #parts: HttpPollingParts;
  #current: AbortController | null = null;
  /** The open poll for tasks. */
  #poll: (AbortController & { sentAtMs: number }) | null = null;
  #unansweredHeartbeats = 0;

  constructor(parts: HttpPollingParts) {
    this.#parts = parts;
  }

  get isOn(): boolean {
    return this.#current !== null;
  }

  /** No effect while polling is on. */
  start(): void {
    const { mailbox, stopped } = this.#parts;
    if (this.isOn || stopped.aborted) return;
    const current = linkedAbort(stopped);
    const { signal } = current;
    this.#current = current;
    this.#unansweredHeartbeats = 0;
    void Promise.all([
      this.#sendHeartbeats(signal),
      this.#repeat(() => this.#pollTasks(signal), signal),
      mailbox.handler === null ? null : this.#repeat(() => mailbox.read(this.#waitSeconds(), signal), signal),
    ]).finally(current.dispose);
  }

  stop(): void {
    this.#current?.abort();
    this.#current = null;
  }

  #waitSeconds(): number {
    return Math.min(LONGEST_POLL_SECONDS, this.#parts.session.intervalMs / 1000);
  }

  /** At each interval, even if the heartbeat before was not answered. */
  async #sendHeartbeats(signal: AbortSignal): Promise<void> {
    const { session } = this.#parts;
    while (!signal.aborted) {
      const { intervalMs } = session;
      void this.#sendHeartbeat(performance.now() + intervalMs, signal);
      await sleep(intervalMs, signal);
      await orAborted(session.renewal, signal).catch(() => {});
    }
  }

  /** Tries until there is an answer or the next heartbeat is due. */
  async #sendHeartbeat(nextAtMs: number, signal: AbortSignal): Promise<void> {
    const { session, emitter, contact } = this.#parts;
    for (;;) {
      const sentAtMs = performance.now();
      const load = this.#parts.readLoad();
      try {
        const body = load === undefined ? {} : { load };
        const call = { body, signal, timeoutSeconds: Math.max(1, session.intervalMs / 1000) };
        const answer = await session.call<HeartbeatAnswer>("POST", `${session.path}/heartbeat`, call);
        contact.connected("http");
        this.#unansweredHeartbeats = 0;
        return await this.#heed(answer, sentAtMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isTransient(error)) contact.disconnected(String(error));
        else emitter.emit("error", { error });
      }
      const pauseMs = backoffMs(this.#unansweredHeartbeats++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
      if (performance.now() + pauseMs >= nextAtMs) return;
      await sleep(pauseMs, signal);
    }
  }

  /** The answer to a heartbeat reports tasks that wait for this agent. */
  async #heed(answer: HeartbeatAnswer, sentAtMs: number, signal: AbortSignal): Promise<void> {
    const { taskRunner, assignedTasks } = this.#parts;
    // The coordinator ends a poll when it has such a task, so that poll or its answer was lost.
    if (answer.assigned_tasks > 0 && this.#poll !== null && this.#poll.sentAtMs < sentAtMs) {
      this.#poll.abort();
    }
    if (taskRunner.running.length > 0) await assignedTasks.reconcile(signal);
  }

  async #pollTasks(signal: AbortSignal): Promise<void> {
    const { session, taskRunner, assignedTasks } = this.#parts;
    const poll = Object.assign(linkedAbort(signal), { sentAtMs: performance.now() });
    this.#poll = poll;
    try {
      await assignedTasks.poll(this.#waitSeconds(), poll.signal);
    } catch (error) {
      if (poll.signal.aborted) return;
      throw error;
    } finally {
      this.#poll = null;
      poll.dispose();
    }
    // The next poll returns at once while the coordinator lists tasks that this agent has not started: either a
    // closed task runner will not start them, or it is about to.
    if (taskRunner.isClosed) await sleep(session.intervalMs, signal);
    await orAborted(taskRunner.allStarted(), signal);
  }

  async #repeat(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { session, emitter } = this.#parts;
    const onError = (error: unknown) => emitter.emit("error", { error });
    while (!signal.aborted) {
      await retryUntilDone(step, { signal, onError, pause: session.reach.pause });
      await sleep(POLL_PAUSE_MS, signal);
    }
  }
}
