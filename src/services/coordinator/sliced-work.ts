/**
 * Work that is too long for one transaction: reassigning many tasks, and reading long queues. Each slice is a commit in
 * an event of its own, so that requests are served in between.
 */
import type { Host } from "../host.ts";
import type { UnitOfWork } from "../unit-of-work.ts";
import type { Failover } from "./failover/failover.ts";
import type { SlotFiller } from "./tasks/slot-filler.ts";

type Parts = {
  failover: Pick<Failover, "hasWork" | "runSlice">;
  slots: Pick<SlotFiller, "hasWork" | "runSlice">;
};

export class BackgroundWork {
  readonly #host: Pick<Host, "defer">;
  readonly #unit: UnitOfWork;
  readonly #parts: Parts;
  #isDeferred = false;

  constructor(host: Pick<Host, "defer">, unit: UnitOfWork, parts: Parts) {
    this.#host = host;
    this.#unit = unit;
    this.#parts = parts;
  }

  get hasWork(): boolean {
    return this.#parts.failover.hasWork || this.#parts.slots.hasWork;
  }

  /** Runs one slice now, and the rest in later events. Outside of any transaction. */
  run(): void {
    if (this.#unit.read(() => this.hasWork)) this.#unit.commit((nowMs) => this.#runSlice(nowMs));
    this.continueLater();
  }

  /** Runs what remains in later events. */
  continueLater(): void {
    if (this.#isDeferred || !this.#unit.read(() => this.hasWork)) return;
    this.#isDeferred = true;
    this.#host.defer(() => {
      this.#isDeferred = false;
      this.run();
    });
  }

  #runSlice(nowMs: number): void {
    const { failover, slots } = this.#parts;
    if (failover.hasWork) failover.runSlice(nowMs);
    else slots.runSlice(nowMs);
  }
}
