/**
 * When a channel is notified of an incident, and how many messages a channel gets. Pure.
 *
 *   opened --group wait--> sent --something changed, group interval--> sent again
 *                            '--nothing changed, repeat interval--> sent again
 *                            '--resolved, group interval--> sent for the last time
 *
 * The rules are Alertmanager's (group wait, group interval, repeat interval), with two more. A new incident waits, within
 * bounds, until failures stop arriving: agents that fall silent together are declared failed within one heartbeat
 * interval. A flapping incident is notified at intervals that double.
 */
import type { IncidentStatus } from "../../contract/incident.ts";
import { type IncidentRecord, resolvedFromMs, statusAt } from "./incident.ts";

export type NotificationTimes = {
  readonly groupWaitMs: number;
  readonly groupIntervalMs: number;
  readonly repeatIntervalMs: number;
};

/** What a channel was last sent about an incident. */
export type LastSent = {
  readonly atMs: number;
  /** The incident's changes that the message covered. */
  readonly changes: number;
  readonly status: IncidentStatus;
  /** Messages about it so far. */
  readonly messages: number;
};

/** A new incident is sent after this many group waits at the latest, even if failures still arrive. */
const LONGEST_WAITS = 6;

/** An agent that fails again more than this many group intervals after its recovery starts a new incident. */
const CLOSING_INTERVALS = 2;

/** Until when failures join an incident that no channel was sent. */
export function gatheringUntilMs(incident: IncidentRecord, { groupWaitMs }: NotificationTimes): number {
  return Math.min(incident.lastFailureAtMs + groupWaitMs, incident.openedAtMs + LONGEST_WAITS * groupWaitMs);
}

/** When a channel is to be sent the next message as things are now; null if there is nothing to send. */
export function notificationDueMs(
  incident: IncidentRecord,
  lastSent: LastSent | null,
  times: NotificationTimes,
): number | null {
  if (lastSent === null) return gatheringUntilMs(incident, times);
  const resolvedMs = resolvedFromMs(incident);
  if (resolvedMs !== null) {
    // A recovery that is about to count is not preceded by a message about the failure.
    const isNews = incident.changes > lastSent.changes || lastSent.status === "firing";
    return isNews ? Math.max(lastSent.atMs + times.groupIntervalMs, resolvedMs) : null;
  }
  if (incident.changes > lastSent.changes) return lastSent.atMs + intervalMs(incident, lastSent, times);
  return lastSent.status === "firing" ? lastSent.atMs + times.repeatIntervalMs : null;
}

function intervalMs(incident: IncidentRecord, lastSent: LastSent, times: NotificationTimes): number {
  if (!incident.isFlapping) return times.groupIntervalMs;
  return Math.min(times.groupIntervalMs * 2 ** Math.max(0, lastSent.messages - 1), times.repeatIntervalMs);
}

export function sentNow(incident: IncidentRecord, lastSent: LastSent | null, nowMs: number): LastSent {
  return {
    atMs: nowMs,
    changes: incident.changes,
    status: statusAt(incident, nowMs),
    messages: (lastSent?.messages ?? 0) + 1,
  };
}

/** Until when an agent that fails again after its recovery at `endedAtMs` belongs to the same incident. */
export const rejoinsUntilMs = (endedAtMs: number, { groupIntervalMs }: NotificationTimes) =>
  endedAtMs + CLOSING_INTERVALS * groupIntervalMs;

/**
 * When an incident is closed, after which further failures start a new one; null while an entry has not recovered or a
 * channel has a message to get.
 * @param lastSents of each channel of the incident; null for a channel that was sent nothing yet
 */
export function closingMs(
  incident: IncidentRecord,
  lastSents: readonly (LastSent | null)[],
  times: NotificationTimes,
): number | null {
  const resolvedMs = resolvedFromMs(incident);
  if (resolvedMs === null) return null;
  const isSent = lastSents.every(
    (lastSent) => lastSent?.status === "resolved" && lastSent.changes === incident.changes,
  );
  return isSent ? rejoinsUntilMs(resolvedMs, times) : null;
}

/** What a channel is sent now: messages of their own, and one message about all others. */
export type ChannelPlan<Item> = { readonly singles: readonly Item[]; readonly digest: readonly Item[] };

/**
 * Keeps a channel within its number of messages: the most severe incidents get one each, and the rest share the last one.
 * @param due the most severe first
 * @param room messages that the channel may still get in this interval
 */
export function withinMessageLimit<Item>(due: readonly Item[], room: number): ChannelPlan<Item> {
  if (room <= 0) return { singles: [], digest: [] };
  if (due.length <= room) return { singles: due, digest: [] };
  return { singles: due.slice(0, room - 1), digest: due.slice(room - 1) };
}
