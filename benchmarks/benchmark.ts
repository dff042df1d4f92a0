/**
 * A benchmark: rounds that measure a figure and, within the same run, a baseline beside it.
 * Machines are shared and noisy, so only the ratio can be compared between two runs, not the value.
 */

export type Benchmark = {
  readonly name: string;
  /** What the benchmark measures, in one line. */
  readonly summary: string;
  measure(): Promise<Figure[]>;
};

/** Several rounds of one measurement. */
export type Spread = { readonly median: number; readonly min: number; readonly max: number };

/** A documented bound: the benchmark fails when the median of the rounds is beyond it. */
export type Bound = { readonly on: "value" | "ratio"; readonly atMost: number };

export type Figure = {
  readonly what: string;
  readonly unit: string;
  readonly value: Spread;
  readonly baseline: Spread & { readonly what: string };
  /** Value divided by baseline, round by round: a slow machine slows down both. */
  readonly ratio: Spread;
  readonly bound: Bound | null;
};

export type Measurement = {
  what: string;
  unit: string;
  /** One value per round. */
  values: readonly number[];
  /** The same number of values, from the same rounds. */
  baseline: { what: string; values: readonly number[] };
  bound?: Bound;
};

export function figure({ what, unit, values, baseline, bound }: Measurement): Figure {
  const ratios = values.map((value, round) => value / (baseline.values[round] ?? Number.NaN));
  return {
    what,
    unit,
    value: spread(values),
    baseline: { what: baseline.what, ...spread(baseline.values) },
    ratio: spread(ratios),
    bound: bound ?? null,
  };
}

export function isMet({ bound, value, ratio }: Figure): boolean {
  return bound === null || (bound.on === "value" ? value : ratio).median <= bound.atMost;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** The middle value; of an even number of values, the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new Error("there is no median of nothing");
  return (low + high) / 2;
}
