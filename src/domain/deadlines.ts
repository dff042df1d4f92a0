/**
 * Alive is not the same as getting on: a task may bound the time until its start, from its
 * start, and between two reports of progress. None runs while the task waits for an agent,
 * and a pause of ours gives the current attempt each of them whole again.
 */
import type { TaskRecord } from "./task.ts";

export type TimeoutKind = "start_timeout" | "timeout" | "progress_timeout";

/** The earliest of the current attempt's deadlines with what it bounds, or null. */
export function taskDeadline(task: TaskRecord): { kind: TimeoutKind; atMs: number } | null {
  const deadlines: { kind: TimeoutKind; atMs: number }[] = [];
  const add = (kind: TimeoutKind, fromMs: number | null, wholeMs: number | null) => {
    if (fromMs === null || wholeMs === null) return;
    deadlines.push({ kind, atMs: Math.max(fromMs, task.extendedAtMs) + wholeMs });
  };
  if (task.status === "assigned") add("start_timeout", task.assignedAtMs, task.startTimeoutMs);
  if (task.status === "running") {
    add("timeout", task.startedAtMs, task.timeoutMs);
    add("progress_timeout", task.progressAtMs, task.progressTimeoutMs);
  }
  return deadlines.reduce<(typeof deadlines)[number] | null>(
    (earliest, next) => (earliest === null || next.atMs < earliest.atMs ? next : earliest),
    null,
  );
}
/** The earliest of some instants, those that are not set left out. */
export function earliest(...instants: (number | null)[]): number | null {
  const known = instants.filter((atMs) => atMs !== null);
  return known.length === 0 ? null : Math.min(...known);
}
