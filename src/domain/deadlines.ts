/**
 * The time-outs of a task: until its start, from its start, and between two reports of progress. None runs while the
 * task waits for an agent. After our own outage, each of the current attempt runs in full again.
 */
import type { TaskRecord } from "./task.ts";

export type TimeoutKind = "start_timeout" | "timeout" | "progress_timeout";

/** The earliest deadline of the current attempt and its kind, or null. */
export function taskDeadline(task: TaskRecord): { kind: TimeoutKind; atMs: number } | null {
  const deadlines: { kind: TimeoutKind; atMs: number }[] = [];
  const add = (kind: TimeoutKind, fromMs: number | null, timeoutMs: number | null) => {
    if (fromMs === null || timeoutMs === null) return;
    deadlines.push({ kind, atMs: Math.max(fromMs, task.extendedAtMs) + timeoutMs });
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

/** The earliest of some instants; null ones are ignored. */
export function earliest(...instants: (number | null)[]): number | null {
  const known = instants.filter((atMs) => atMs !== null);
  return known.length === 0 ? null : Math.min(...known);
}
