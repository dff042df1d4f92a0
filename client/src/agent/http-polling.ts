/** An agent over HTTP: a heartbeat at each interval, and long polls for tasks and for messages. */

import { backoffMs, linked, orAborted, sleep } from "../cancellation.ts";
import { isWorthRepeating } from "../http.ts";
import { repeatUntilDone } from "../retry.ts";
import type { HeartbeatAnswer } from "../wire.ts";
import type { Emitter } from "./agent-events.ts";
import type { Holdings } from "./assigned-tasks.ts";
import type { ContactMonitor } from "./contact-monitor.ts";
import type { AskLoad } from "./load-reader.ts";
import type { Mailbox } from "./mailbox.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export type PollingParts = {
  session: Session;
  work: TaskRunner;
  holdings: Holdings;
  mailbox: Mailbox;
  emitter: Emitter;
  touch: ContactMonitor;
  load: AskLoad;
  /** Aborted when the agent has left. */
  ending: AbortSignal;
};

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_POLL_SECONDS = 30;
/** Between two polls: a coordinator that answers at once, whatever its reason, must not make them a storm. */
const POLL_PAUSE_MS = 20;

export class Polling {
  readonly #parts: PollingParts;
  #current: AbortController | null = null;

  constructor(parts: PollingParts) {
    this.#parts = parts;
  }

  get isOn(): boolean {
    return this.#current !== null;
  }

  /** If it is not on already. */
  start(): void {
    const { mailbox, ending } = this.#parts;
    if (this.isOn || ending.aborted) return;
    const current = linked(ending);
    const { signal } = current;
    this.#current = current;
    void Promise.all([
      this.#beat(signal),
      this.#repeat(() => this.#takeTasks(signal), signal),
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

  async #beat(signal: AbortSignal): Promise<void> {
    const { session, work, holdings, emitter, touch } = this.#parts;
    for (let tries = 0; !signal.aborted; ) {
      const sentAtMs = performance.now();
      const { intervalMs } = session;
      const load = this.#parts.load();
      try {
        const body = load === undefined ? {} : { load };
        const call = { body, signal, timeoutSeconds: Math.max(1, intervalMs / 1000) };
        await session.call<HeartbeatAnswer>("POST", `${session.path}/heartbeat`, call);
        touch.found("http");
        tries = 0;
        if (work.running.length > 0) await holdings.reconcile(signal);
        await sleep(sentAtMs + intervalMs - performance.now(), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isWorthRepeating(error)) touch.lost(String(error));
        else emitter.emit("error", { error });
        await sleep(Math.min(intervalMs, backoffMs(tries++, FIRST_PAUSE_MS, LONGEST_PAUSE_MS)), signal);
      }
    }
  }

  async #takeTasks(signal: AbortSignal): Promise<void> {
    const { session, work, holdings } = this.#parts;
    await holdings.take(this.#waitSeconds(), signal);
    // What is not taken any more would come back at once, again and again.
    if (work.isClosed) await sleep(session.intervalMs, signal);
    // So would what is about to be started.
    await orAborted(work.allStarted(), signal);
  }

  async #repeat(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await repeatUntilDone(step, signal, this.#parts.emitter);
      await sleep(POLL_PAUSE_MS, signal);
    }
  }
}
