/**
 * When those who may not have heard are told again: after 1 s, 2 s, 4 s and so on, for an hour or so. In memory
 * alone.
 */

const FIRST_WAIT_MS = 1000;

/** An hour: by then whoever is told has read the authority or is gone. */
const LONGEST_WAIT_MS = 3_600_000;

export class BackoffTimers {
  /** When each is told again, and how long after the time before. */
  readonly #byId = new Map<string, { atMs: number; waitMs: number }>();

  /** For the first time, or anew. */
  begin(id: string, nowMs: number): void {
    this.wait(id, FIRST_WAIT_MS, nowMs);
  }

  /**
   * As if it had begun at `sinceMs`. A time that has only just passed is now: that may be what woke this
   * very instance.
   */
  takeUp(id: string, sinceMs: number, nowMs: number): void {
    let waitMs = FIRST_WAIT_MS;
    let fromMs = sinceMs;
    while (fromMs + waitMs <= nowMs - FIRST_WAIT_MS && waitMs <= LONGEST_WAIT_MS) {
      fromMs += waitMs;
      waitMs *= 2;
    }
    this.wait(id, waitMs, fromMs);
  }

  /** Once more, after twice the wait, unless that was the last time. */
  goOn(id: string, waitedMs: number, nowMs: number): void {
    this.wait(id, waitedMs * 2, nowMs);
  }

  wait(id: string, waitMs: number, fromMs: number): void {
    if (waitMs > LONGEST_WAIT_MS) this.#byId.delete(id);
    else this.#byId.set(id, { atMs: fromMs + waitMs, waitMs });
  }

  /** @returns how long the wait was, or null if there was none */
  end(id: string): number | null {
    const waitMs = this.#byId.get(id)?.waitMs ?? null;
    this.#byId.delete(id);
    return waitMs;
  }

  /** Who is to be told again now, and how long that was waited for. Each stays due until it goes on, or ends. */
  due(nowMs: number): { id: string; waitedMs: number }[] {
    const due: { id: string; waitedMs: number }[] = [];
    for (const [id, { atMs, waitMs }] of this.#byId) if (atMs <= nowMs) due.push({ id, waitedMs: waitMs });
    return due;
  }

  nextWorkMs(): number | null {
    let earliestMs: number | null = null;
    for (const { atMs } of this.#byId.values()) earliestMs = Math.min(earliestMs ?? atMs, atMs);
    return earliestMs;
  }
}

/** Whether nobody waits any longer than that. */
export function isLastWait(waitedMs: number): boolean {
  return waitedMs * 2 > LONGEST_WAIT_MS;
}
