/**
 * What an agent has done of each task type: how often it succeeded, and how long it took. Fades like reliability. The
 * number of types is bounded.
 */
import { newHistory, type ReliabilityHistory, withEvent } from "./reliability.ts";

export type TypePerformance = {
  readonly reliability: ReliabilityHistory;
  /** Mean duration of its completed tasks of this type, recent ones counting more. */
  readonly meanMs: number;
  /** Completed tasks behind the mean. */
  readonly samples: number;
};

export type PerformanceByType = Readonly<Record<string, TypePerformance>>;

/** How much the newest duration counts once there are many: about the last ten matter. */
const NEWEST_SHARE = 0.1;

/** Task types stored of one agent; the one that was not seen for longest is dropped. */
const TYPES_REMEMBERED = 64;

export function withCompletion(
  known: PerformanceByType,
  { type, tookMs }: { type: string; tookMs: number },
  nowMs: number,
): PerformanceByType {
  const before = own(known, type, nowMs);
  const samples = before.samples + 1;
  const share = Math.max(NEWEST_SHARE, 1 / samples);
  return remembered(known, type, {
    reliability: withEvent(before.reliability, "task_completed", nowMs),
    meanMs: before.meanMs + (tookMs - before.meanMs) * share,
    samples,
  });
}

export function withTaskFailure(known: PerformanceByType, type: string, nowMs: number): PerformanceByType {
  const before = own(known, type, nowMs);
  return remembered(known, type, {
    ...before,
    reliability: withEvent(before.reliability, "task_failed", nowMs),
  });
}

/** The mean duration over all agents, weighted by their samples; null if none was completed yet. */
export function typicalMs(performances: Iterable<TypePerformance | undefined>): number | null {
  let samples = 0;
  let totalMs = 0;
  for (const performance of performances) {
    if (performance === undefined) continue;
    samples += performance.samples;
    totalMs += performance.meanMs * performance.samples;
  }
  return samples === 0 ? null : totalMs / samples;
}

/** A type may be named like a member of every object, such as `constructor`. */
export function performanceOf(known: PerformanceByType, type: string): TypePerformance | undefined {
  return Object.hasOwn(known, type) ? known[type] : undefined;
}

function own(known: PerformanceByType, type: string, nowMs: number): TypePerformance {
  return performanceOf(known, type) ?? { reliability: newHistory(nowMs), meanMs: 0, samples: 0 };
}

function remembered(known: PerformanceByType, type: string, performance: TypePerformance): PerformanceByType {
  const others = Object.entries(known)
    .filter(([name]) => name !== type)
    .sort(([, a], [, b]) => b.reliability.atMs - a.reliability.atMs)
    .slice(0, TYPES_REMEMBERED - 1);
  return Object.fromEntries([...others, [type, performance]]);
}
