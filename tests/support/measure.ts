/** Statistics of measurements, the delay that the machine itself adds, and random numbers from a seed. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Count, minimum, median and maximum in one line. */
export function figures(what: string, values: readonly number[], unit = "ms"): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(0);
  return `${what}: n ${sorted.length}, min ${at(0)}, median ${at(0.5)}, max ${at(1)} ${unit}`;
}

/** The longest delay in waking this process: an error that the machine adds to every figure. */
export class Noise implements Disposable {
  readonly #delays = monitorEventLoopDelay({ resolution: 5 });

  constructor() {
    this.#delays.enable();
  }

  toString(): string {
    return `this process itself was up to ${(this.#delays.max / 1e6).toFixed(0)} ms late`;
  }

  [Symbol.dispose](): void {
    this.#delays.disable();
  }
}

/** Numbers in 0 to 1 that depend on the seed alone (mulberry32). */
export function chanceFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
