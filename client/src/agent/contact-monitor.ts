/**
 * Whether an agent is in contact with the coordinator, over which transport, and what happens after a whole heartbeat
 * timeout without contact.
 */
import { sleep } from "../cancellation.ts";
import type { Emitter } from "./agent-events.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export type TransportKind = "socket" | "http";

export type ContactMonitorParts = {
  session: Session;
  taskRunner: TaskRunner;
  emitter: Emitter;
  /** Whether to abort all handlers after a timeout without contact. */
  abortWhenOutOfTouch: boolean | undefined;
  /** Aborted when the agent has stopped. */
  stopped: AbortSignal;
};

export class ContactMonitor {
  readonly #parts: ContactMonitorParts;
  #transport: TransportKind | null = null;

  constructor(parts: ContactMonitorParts) {
    this.#parts = parts;
  }

  connected(transport: TransportKind): void {
    if (this.#transport !== transport) this.#parts.emitter.emit("connected", { transport });
    this.#transport = transport;
  }

  disconnected(reason: string): void {
    const { emitter, stopped } = this.#parts;
    if (this.#transport !== null && !stopped.aborted) emitter.emit("disconnected", { reason });
    this.#transport = null;
  }

  /** Runs until the agent has stopped. @param renew registers a new incarnation */
  async watch(renew: () => void): Promise<void> {
    const { session, taskRunner, emitter, abortWhenOutOfTouch, stopped } = this.#parts;
    let isOutOfTouch = false;
    let abortedAtMs = Number.NEGATIVE_INFINITY;
    while (!stopped.aborted) {
      const leftMs = session.timeoutMs - session.silentForMs;
      if (leftMs <= 0 && !isOutOfTouch) {
        emitter.emit("outOfTouch", { seconds: session.silentForMs / 1000 });
        session.suspectIncarnation();
        if (abortWhenOutOfTouch) {
          taskRunner.revokeAll("out_of_touch");
          abortedAtMs = performance.now();
        }
      }
      // The aborted attempts still belong to this incarnation. Registering the next one, which does not list them,
      // gives them back. If the agent was declared failed meanwhile, the next one is registered already.
      if (leftMs > 0 && isOutOfTouch && session.registeredAtMs < abortedAtMs) renew();
      isOutOfTouch = leftMs <= 0;
      await sleep(leftMs > 0 ? leftMs : session.intervalMs, stopped);
    }
  }
}
