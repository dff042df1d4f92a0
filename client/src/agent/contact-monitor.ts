/** Whether an agent is in touch with the coordinator, by which way, and what follows from too long without. */

import { sleep } from "../cancellation.ts";
import type { Emitter } from "./agent-events.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export type TransportKind = "socket" | "http";

export type ContactMonitorParts = {
  session: Session;
  work: TaskRunner;
  emitter: Emitter;
  /** Whoever is out of touch gives up what it does. */
  abortWhenOutOfTouch: boolean | undefined;
  /** Aborted when the agent has left. */
  ending: AbortSignal;
};

export class ContactMonitor {
  readonly #parts: ContactMonitorParts;
  #way: TransportKind | null = null;

  constructor(parts: ContactMonitorParts) {
    this.#parts = parts;
  }

  found(way: TransportKind): void {
    if (this.#way !== way) this.#parts.emitter.emit("connected", { transport: way });
    this.#way = way;
  }

  lost(reason: string): void {
    const { emitter, ending } = this.#parts;
    if (this.#way !== null && !ending.aborted) emitter.emit("disconnected", { reason });
    this.#way = null;
  }

  /** @param renew starts a new incarnation */
  async watch(renew: () => void): Promise<void> {
    const { session, work, emitter, abortWhenOutOfTouch, ending } = this.#parts;
    let isOut = false;
    let gaveUpAtMs = Number.NEGATIVE_INFINITY;
    while (!ending.aborted) {
      const leftMs = session.timeoutMs - session.silentForMs;
      if (leftMs <= 0 && !isOut) {
        emitter.emit("outOfTouch", { seconds: session.silentForMs / 1000 });
        session.doubtLife();
        if (abortWhenOutOfTouch) {
          work.revokeAll("out_of_touch");
          gaveUpAtMs = performance.now();
        }
      }
      // What was given up is told apart from what runs by a new incarnation, which claims the latter alone. If the
      // one before was declared failed, there is one already.
      if (leftMs > 0 && isOut && session.registeredAtMs < gaveUpAtMs) renew();
      isOut = leftMs <= 0;
      await sleep(leftMs > 0 ? leftMs : session.intervalMs, ending);
    }
  }
}
