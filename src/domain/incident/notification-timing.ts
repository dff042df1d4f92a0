/**
 * When an incident is told through a channel, and how many messages a channel bears. Pure.
 *
 *   opened --group wait--> told --something changed, group interval--> told again
 *                            '--nothing changed, repeat interval--> told again
 *                            '--resolved, group interval--> told for the last time
 *
 * The habits are Alertmanager's (group wait, group interval, repeat interval), with two more: a
 * new incident waits until failures stop coming in, within bounds, since those that fall silent
 * together are declared over a heartbeat interval; and an incident that flaps is told at
 * intervals that double.
 */
import type { IncidentStatus } from "../../contract/incident.ts";
import { type IncidentRecord, resolvedFromMs, statusAt } from "./incident.ts";

export type NotificationTimes = {
  readonly groupWaitMs: number;
  readonly groupIntervalMs: number;
  readonly repeatIntervalMs: number;
};

/** What a channel was last told of an incident. */
export type LastSent = {
  readonly atMs: number;
  /** The incident's changes that it covered. */
  readonly changes: number;
  readonly status: IncidentStatus;
  /** Messages about it so far. */
  readonly messages: number;
};

/** A new incident is told after this many group waits at the latest, however many failures still come in. */
const LONGEST_WAITS = 6;

/** Whoever fails again more than this many group intervals after it came back starts a new incident. */
const CLOSING_INTERVALS = 2;

/** Until when failures join an incident that nobody was told of. */
export function gatheringUntilMs(incident: IncidentRecord, { groupWaitMs }: NotificationTimes): number {
  return Math.min(incident.lastFailureAtMs + groupWaitMs, incident.openedAtMs + LONGEST_WAITS * groupWaitMs);
}

/** When a channel is to be told of it next, as things stand; null if there is nothing more to tell. */
export function notificationDueMs(
  incident: IncidentRecord,
  telling: LastSent | null,
  times: NotificationTimes,
): number | null {
  if (telling === null) return gatheringUntilMs(incident, times);
  const resolvedMs = resolvedFromMs(incident);
  if (resolvedMs !== null) {
    // Whoever is about to be believed recovered is not told as failed again just before.
    const isNews = incident.changes > telling.changes || telling.status === "firing";
    return isNews ? Math.max(telling.atMs + times.groupIntervalMs, resolvedMs) : null;
  }
  if (incident.changes > telling.changes) return telling.atMs + intervalMs(incident, telling, times);
  return telling.status === "firing" ? telling.atMs + times.repeatIntervalMs : null;
}

function intervalMs(incident: IncidentRecord, telling: LastSent, times: NotificationTimes): number {
  if (!incident.isFlapping) return times.groupIntervalMs;
  return Math.min(times.groupIntervalMs * 2 ** Math.max(0, telling.messages - 1), times.repeatIntervalMs);
}

export function sentNow(incident: IncidentRecord, telling: LastSent | null, nowMs: number): LastSent {
  return {
    atMs: nowMs,
    changes: incident.changes,
    status: statusAt(incident, nowMs),
    messages: (telling?.messages ?? 0) + 1,
  };
}

/** Until when whoever fails again after its end at `endedAtMs` belongs to the same incident. */
export const rejoinsUntilMs = (endedAtMs: number, { groupIntervalMs }: NotificationTimes) =>
  endedAtMs + CLOSING_INTERVALS * groupIntervalMs;

/**
 * When an incident is over for good, after which its entries start new ones; null while somebody
 * is down or a channel is still to be told.
 * @param tellings of the channels that are to be told of it; null for one not told yet
 */
export function closingMs(
  incident: IncidentRecord,
  tellings: readonly (LastSent | null)[],
  times: NotificationTimes,
): number | null {
  const resolvedMs = resolvedFromMs(incident);
  if (resolvedMs === null) return null;
  const isTold = tellings.every(
    (telling) => telling?.status === "resolved" && telling.changes === incident.changes,
  );
  return isTold ? rejoinsUntilMs(resolvedMs, times) : null;
}

/** What a channel is sent now. */
export type ChannelPlan<Item> = { readonly singles: readonly Item[]; readonly digest: readonly Item[] };

/**
 * Keeps a channel within its number of messages: the gravest get one each as long as there is
 * room, and what is left over shares the last one.
 * @param due the gravest first
 * @param room messages that the channel still bears in this interval
 */
export function withinMessageLimit<Item>(due: readonly Item[], room: number): ChannelPlan<Item> {
  if (room <= 0) return { singles: [], digest: [] };
  if (due.length <= room) return { singles: due, digest: [] };
  return { singles: due.slice(0, room - 1), digest: due.slice(room - 1) };
}
