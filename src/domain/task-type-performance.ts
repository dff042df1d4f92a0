/**
 * What an agent has done of one task type: how often it went well, and how long it took.
 * Fades like reliability, and is bounded in the number of types it remembers.
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

/** Task types remembered of one agent; the one not seen for longest makes room. */
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

/** Mean duration over agents, each counted by its samples; null when nobody ever completed one. */
export function typicalMs(experiences: Iterable<TypePerformance | undefined>): number | null {
  let samples = 0;
  let totalMs = 0;
  for (const experience of experiences) {
    if (experience === undefined) continue;
    samples += experience.samples;
    totalMs += experience.meanMs * experience.samples;
  }
  return samples === 0 ? null : totalMs / samples;
}

function own(known: PerformanceByType, type: string, nowMs: number): TypePerformance {
  const experience = Object.hasOwn(known, type) ? known[type] : undefined;
  return experience ?? { reliability: newHistory(nowMs), meanMs: 0, samples: 0 };
}

function remembered(known: PerformanceByType, type: string, experience: TypePerformance): PerformanceByType {
  const others = Object.entries(known)
    .filter(([name]) => name !== type)
    .sort(([, a], [, b]) => b.reliability.atMs - a.reliability.atMs)
    .slice(0, TYPES_REMEMBERED - 1);
  return Object.fromEntries([...others, [type, experience]]);
}
