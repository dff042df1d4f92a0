/**
 * The factors by which candidates are compared. Each is a pure function into 0..1, larger is
 * better, and depends on one candidate alone, and on how long tasks typically take in the
 * whole cluster: who else stands for choice never changes somebody's score.
 */
import { reliabilityOf } from "../domain/reliability.ts";
import type { Candidate, DecisionContext, PlaceableTask } from "./strategy.ts";

/** An agent that declares a type and never did one is trusted this far, as if seen this often. */
const UNTRIED = { estimate: 0.8, samples: 3 };

/** How much of the load factor a reported cpu and memory make up; slots are what is counted on. */
const REPORTED_SHARE = 0.3;

/** A duration counts fully only after some samples: as if this many typical ones had been seen. */
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
 * faded weights of its completed and failed tasks of that type. That it can do the type at
 * all is a matter of the filter.
 */
export function capabilityFactor(
  { type }: PlaceableTask,
  candidate: Candidate,
  { nowMs }: DecisionContext,
): number {
  const experience = Object.hasOwn(candidate.performance, type) ? candidate.performance[type] : undefined;
  return experience === undefined ? UNTRIED.estimate : reliabilityOf(experience.reliability, nowMs, UNTRIED);
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
 * fast as the cluster, 1 infinitely faster. The mean is smoothed by three typical samples; who
 * never did the type is taken to be typical.
 */
export function performanceFactor(
  { type }: PlaceableTask,
  candidate: Candidate,
  { typicalMs }: DecisionContext,
): number {
  const experience = Object.hasOwn(candidate.performance, type) ? candidate.performance[type] : undefined;
  if (experience === undefined || experience.samples === 0 || typicalMs === null || typicalMs === 0)
    return 0.5;
  const { meanMs, samples } = experience;
  const smoothedMs = (meanMs * samples + typicalMs * TYPICAL_WEIGHT) / (samples + TYPICAL_WEIGHT);
  return typicalMs / (typicalMs + smoothedMs);
}

/** The share of its slots that are free: 1 when idle, 0 when full. */
export function freeShare({ openTasks, maxConcurrentTasks }: Candidate): number {
  return Math.max(0, 1 - openTasks / maxConcurrentTasks);
}
