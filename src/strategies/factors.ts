/**
 * The factors by which candidates are compared. Each is a pure function into 0..1; larger is better. A factor depends
 * on one candidate and on how long tasks typically take in the cluster. The other candidates never change a score.
 */
import { reliabilityOf } from "../domain/reliability.ts";
import { performanceOf } from "../domain/task-type-performance.ts";
import type { Candidate, DecisionContext, PlaceableTask } from "./strategy.ts";

/** The prior for an agent that declares a type and never did one: an estimate, and how many samples it counts as. */
const UNTRIED = { estimate: 0.8, samples: 3 };

/** The share of reported CPU and memory in the load factor; the rest is the share of free slots, which is always known. */
const REPORTED_SHARE = 0.3;

/** A mean duration is smoothed by this many typical samples, so that one fast task does not decide. */
const TYPICAL_WEIGHT = 3;

/**
 * Reliability: the agent's record of failures, smoothed and fading (see domain/reliability).
 * Unit: an estimated probability.
 */
export function reliabilityFactor(candidate: Candidate, { nowMs }: DecisionContext): number {
  return reliabilityOf(candidate.reliabilityHistory, nowMs);
}

/**
 * Capability: how well it has done this type, `(good + 0.8 · 3) / (good + bad + 3)` with the
 * faded weights of its completed and failed tasks of that type. Whether the agent can do the type
 * at all is decided by the filter.
 */
export function capabilityFactor(
  { type }: PlaceableTask,
  candidate: Candidate,
  { nowMs }: DecisionContext,
): number {
  const performance = performanceOf(candidate.performance, type);
  return performance === undefined
    ? UNTRIED.estimate
    : reliabilityOf(performance.reliability, nowMs, UNTRIED);
}

/**
 * Load: the share of its slots that are free, tasks handed out in this same round counted; with
 * a reported load, `0.7 · free + 0.3 · (1 − max(cpu, memory))`.
 */
export function loadFactor(candidate: Candidate): number {
  const free = freeShare(candidate);
  if (candidate.load === null) return free;
  const idle = 1 - Math.max(candidate.load.cpu, candidate.load.memory);
  return (1 - REPORTED_SHARE) * free + REPORTED_SHARE * idle;
}

/**
 * Performance: its speed at this type against its peers, `typical / (typical + mean)`: 0.5 is as
 * fast as the cluster, 1 infinitely faster. The mean is smoothed by three typical samples; an
 * agent that never did the type counts as typical.
 */
export function performanceFactor(
  { type }: PlaceableTask,
  candidate: Candidate,
  { typicalMs }: DecisionContext,
): number {
  const performance = performanceOf(candidate.performance, type);
  if (performance === undefined || performance.samples === 0 || typicalMs === null || typicalMs === 0)
    return 0.5;
  const { meanMs, samples } = performance;
  const smoothedMs = (meanMs * samples + typicalMs * TYPICAL_WEIGHT) / (samples + TYPICAL_WEIGHT);
  return typicalMs / (typicalMs + smoothedMs);
}

/** The share of its slots that are free: 1 when idle, 0 when full. */
export function freeShare({ openTasks, maxConcurrentTasks }: Candidate): number {
  return Math.max(0, 1 - openTasks / maxConcurrentTasks);
}
