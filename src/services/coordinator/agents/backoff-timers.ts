/** Timers that repeat something after 1 s, 2 s, 4 s and so on, for about an hour. They exist in memory only. */

const FIRST_WAIT_MS = 1000;

/** An hour: by then the agent has read its list by itself, or has failed. */
const LONGEST_WAIT_MS = 3_600_000;

export type DueTimer = { id: string; waitedMs: number };

export class BackoffTimers {
  /** When each timer is due, and how long it waits. */
  readonly #byId = new Map<string, { dueAtMs: number; waitMs: number }>();

  /** Starts a timer, or restarts it with the first wait. */
  start(id: string, nowMs: number): void {
    this.wait(id, FIRST_WAIT_MS, nowMs);
  }

  /**
   * Continues a timer that was started at `sinceMs` by an earlier instance. A time that has just passed counts as now:
   * it may be what started this instance.
   */
  continue(id: string, sinceMs: number, nowMs: number): void {
    let waitMs = FIRST_WAIT_MS;
    let fromMs = sinceMs;
    while (fromMs + waitMs <= nowMs - FIRST_WAIT_MS && waitMs <= LONGEST_WAIT_MS) {
      fromMs += waitMs;
      waitMs *= 2;
    }
    this.wait(id, waitMs, fromMs);
  }

  /** Waits once more, twice as long as before; stops after the last wait. */
  repeat({ id, waitedMs }: DueTimer, nowMs: number): void {
    this.wait(id, waitedMs * 2, nowMs);
  }

  wait(id: string, waitMs: number, fromMs: number): void {
    if (waitMs > LONGEST_WAIT_MS) this.#byId.delete(id);
    else this.#byId.set(id, { dueAtMs: fromMs + waitMs, waitMs });
  }

  /** @returns how long the timer waits, or null if there was none */
  stop(id: string): number | null {
    const waitMs = this.#byId.get(id)?.waitMs ?? null;
    this.#byId.delete(id);
    return waitMs;
  }

  /** The timers that are due. Each stays due until it is repeated or stopped. */
  due(nowMs: number): DueTimer[] {
    const due: DueTimer[] = [];
    for (const [id, { dueAtMs, waitMs }] of this.#byId) {
      if (dueAtMs <= nowMs) due.push({ id, waitedMs: waitMs });
    }
    return due;
  }

  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const { dueAtMs } of this.#byId.values()) earliestMs = Math.min(earliestMs ?? dueAtMs, dueAtMs);
    return earliestMs;
  }
}

/** Whether no timer waits longer than this. */
export function isLastWait(waitedMs: number): boolean {
  return waitedMs * 2 > LONGEST_WAIT_MS;
}
