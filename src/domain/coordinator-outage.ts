/**
 * Distinguishes our own outage from the silence of agents. Pure.
 *
 * There was an outage when an object starts under another boot id than the stored one, when a socket on record is gone at
 * the start, or when an alarm is late. An idle eviction, or a pause while no alarm is due, is no outage.
 */

export type PauseCause = "restarted" | "sockets_gone" | "alarm_late";

/** The delay of alarms on a healthy machine. */
const LATENESS_FLOOR_MS = 100;

/** The share of the shortest timeout by which an alarm may be late without counting as an outage. */
const LATENESS_SHARE = 0.05;

export function isRestart(storedBootId: string | null, bootId: string): boolean {
  return storedBootId !== null && storedBootId !== bootId;
}

/** Whether an alarm is so late that the shortest timeout has to be looked up. */
export function mayBeLate(dueMs: number, nowMs: number): boolean {
  return nowMs - dueMs > LATENESS_FLOOR_MS;
}

/**
 * Whether an alarm that was due at `dueMs` and runs at `nowMs` proves an outage.
 * @param shortestTimeoutMs the shortest timeout or TTL that the alarm serves; null if there is none
 */
export function isLateAlarm(dueMs: number, nowMs: number, shortestTimeoutMs: number | null): boolean {
  if (shortestTimeoutMs === null) return false;
  return nowMs - dueMs > LATENESS_FLOOR_MS + LATENESS_SHARE * shortestTimeoutMs;
}

/** How long the alarm waits, once a deadline has passed, until requests that already queue are processed. */
export const SECOND_CHECK_DELAY_MS = 30;
