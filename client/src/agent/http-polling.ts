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

  async #sendHeartbeats(signal: AbortSignal): Promise<void> {
    const { session, taskRunner, assignedTasks, emitter, contact } = this.#parts;
    for (let tries = 0; !signal.aborted; ) {
      const sentAtMs = performance.now();
      const { intervalMs } = session;
      const load = this.#parts.readLoad();
      try {
        const body = load === undefined ? {} : { load };
        const call = { body, signal, timeoutSeconds: Math.max(1, intervalMs / 1000) };
        await session.call<HeartbeatAnswer>("POST", `${session.path}/heartbeat`, call);
        contact.connected("http");
        tries = 0;
        if (taskRunner.running.length > 0) await assignedTasks.reconcile(signal);
        await sleep(sentAtMs + intervalMs - performance.now(), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isTransient(error)) contact.disconnected(String(error));
        else emitter.emit("error", { error });
        await sleep(Math.min(intervalMs, backoffMs(tries++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS)), signal);
      }
    }
  }

  async #pollTasks(signal: AbortSignal): Promise<void> {
    const { session, taskRunner, assignedTasks } = this.#parts;
    await assignedTasks.poll(this.#waitSeconds(), signal);
    // The next poll returns at once while the coordinator lists tasks that this agent has not started: either a
    // closed task runner will not start them, or it is about to.
    if (taskRunner.isClosed) await sleep(session.intervalMs, signal);
    await orAborted(taskRunner.allStarted(), signal);
  }

  async #repeat(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await retryUntilDone(step, signal, (error) => this.#parts.emitter.emit("error", { error }));
      await sleep(POLL_PAUSE_MS, signal);
    }
  }
}
