/**
 * Telling our own absence from the silence of others. Pure.
 *
 * We were away when the object starts under another boot id than it last stored, or without
 * sockets that it had on record, or when its alarm came late. What leaves no such trace (an
 * idle eviction, a pause with no alarm due) is not an absence.
 */

export type PauseCause = "restarted" | "sockets_gone" | "alarm_late";

/** Scheduling noise that a healthy machine shows without anybody having been away. */
const LATENESS_FLOOR_MS = 100;

/** The share of the shortest timeout that a late alarm may take before it counts. */
const LATENESS_SHARE = 0.05;

export function isRestart(storedBootId: string | null, bootId: string): boolean {
  return storedBootId !== null && storedBootId !== bootId;
}

/** Whether an alarm is late enough for it to be worth asking what it watches. */
export function mayBeLate(dueMs: number, nowMs: number): boolean {
  return nowMs - dueMs > LATENESS_FLOOR_MS;
}

/**
 * Whether an alarm that was due at `dueMs` and runs at `nowMs` proves a pause.
 * @param shortestTimeoutMs the shortest timeout or TTL that the alarm watches; null when it watches none
 */
export function isLateAlarm(dueMs: number, nowMs: number, shortestTimeoutMs: number | null): boolean {
  if (shortestTimeoutMs === null) return false;
  return nowMs - dueMs > LATENESS_FLOOR_MS + LATENESS_SHARE * shortestTimeoutMs;
}

/** How long the alarm waits, once a deadline has passed, for requests that already queue to be heard. */
export const SECOND_LOOK_MS = 30;
