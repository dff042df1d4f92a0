/**
 * Simulated time and a simulated network. Each event is in one queue, and between two events every promise that can settle
 * has settled, so a seed repeats a run.
 */
import { Random } from "./random.ts";

/** `run` is null once the event is cancelled. */
type Event = { atMs: number; order: number; run: (() => void) | null };

/** What the network does to calls. Probabilities in 0..1, times in milliseconds. */
export type Network = {
  latencyMs: [low: number, high: number];
  /** The request never arrives. */
  lost: number;
  /** The request arrives and is served; its answer is lost. */
  answerLost: number;
  /** The request arrives twice, the second time later. */
  doubled: number;
};

export const CALM: Network = { latencyMs: [1, 3], lost: 0, answerLost: 0, doubled: 0 };
export const STORMY: Network = { latencyMs: [1, 400], lost: 0.05, answerLost: 0.05, doubled: 0.1 };

/** How long a caller waits for an answer that does not come. */
const CALL_LIMIT_MS = 2000;

export class Unreachable extends Error {
  constructor() {
    super("no answer");
  }
}

export class World {
  readonly random: Random;
  network: Network = CALM;
  nowMs = Date.UTC(2026, 0, 1);
  #queue: Event[] = [];
  #order = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  after(delayMs: number, run: () => void): () => void {
    return this.at(this.nowMs + delayMs, run);
  }

  /** @returns a function that cancels the event */
  at(atMs: number, run: () => void): () => void {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run };
    push(this.#queue, event);
    return () => {
      event.run = null;
    };
  }

  sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => this.after(durationMs, resolve));
  }

  /** Passes a call over the network: it may be late, doubled, or lost on either way. */
  call<Result>(serve: () => Result | Promise<Result>): Promise<Result> {
    const { lost, answerLost, doubled } = this.network;
    return new Promise((resolve, reject) => {
      const giveUp = this.after(CALL_LIMIT_MS, () => reject(new Unreachable()));
      const arrive = async () => {
        try {
          const result = await serve();
          if (this.random.chance(answerLost)) return;
          this.after(this.#latencyMs(), () => {
            giveUp();
            resolve(result);
          });
        } catch {
          this.after(this.#latencyMs(), () => {
            giveUp();
            reject(new Unreachable());
          });
        }
      };
      if (!this.random.chance(lost)) this.after(this.#latencyMs(), () => void arrive());
      if (this.random.chance(doubled)) this.after(this.#latencyMs() * 2, () => void arrive());
    });
  }

  /** Lets that much time pass, event by event. */
  async run(durationMs: number): Promise<void> {
    const untilMs = this.nowMs + durationMs;
    // What the test has just started may add events.
    await settled();
    for (;;) {
      const event = this.#queue[0];
      if (event === undefined || event.atMs > untilMs) break;
      pop(this.#queue);
      if (event.run === null) continue;
      this.nowMs = event.atMs;
      event.run();
      await settled();
    }
    this.nowMs = untilMs;
  }

  /** Lets time pass until `condition` holds, which is checked at each step. @returns whether it holds */
  async runUntil(condition: () => boolean, limitMs: number, stepMs = 250): Promise<boolean> {
    for (let passedMs = 0; passedMs < limitMs; passedMs += stepMs) {
      if (condition()) return true;
      await this.run(stepMs);
    }
    return condition();
  }

  #latencyMs(): number {
    return this.random.between(...this.network.latencyMs);
  }
}

/** Nothing else is pending in this process, so one turn of the event loop settles every promise that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function push(heap: Event[], event: Event): void {
  let index = heap.push(event) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !isBefore(event, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const left = heap[2 * index + 1];
    const right = heap[2 * index + 2];
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
    if (child === undefined || !isBefore(child, last)) break;
    heap[index] = child;
    index = child === left ? 2 * index + 1 : 2 * index + 2;
  }
  heap[index] = last;
}
