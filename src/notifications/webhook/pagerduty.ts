/**
 * Messages for PagerDuty's Events API v2. An event has one `dedup_key`, so a digest is one event for
 * each of its incidents. A test opens an alert and resolves it at once.
 *
 * https://developer.pagerduty.com/docs/send-alert-event
 */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import type { Incident } from "../../contract/incident.ts";
import { fingerprint } from "../../domain/fingerprint.ts";
import { facts } from "../incident-facts.ts";
import { counts, groupsInWords, headline, timing } from "../incident-summary.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { printable } from "../text.ts";
import type { Preset } from "./preset.ts";

const EVENTS_URL = "https://events.pagerduty.com/v2/enqueue";
const CLIENT = "failover-coordinator";

/** PagerDuty's limits. */
const MAX_SUMMARY_CHARACTERS = 1024;
const MAX_KEY_CHARACTERS = 255;
/** Of each kind of fact: all of them together stay far below the 512 KB of an event. */
const MAX_LINES = 25;

type Action = "trigger" | "resolve";

export const pagerDutyPreset: Preset = {
  defaultUrl: EVENTS_URL,
  missing: ({ routing_key }) =>
    routing_key === ""
      ? "webhook_notification.routing_key is empty: set the integration key of a PagerDuty service"
      : null,
  bodies: pagerDutyEvents,
};

export function pagerDutyEvents(
  message: NotificationMessage,
  config: Pick<WebhookNotificationConfig, "routing_key">,
) {
  return message.incidents.flatMap((incident) => {
    if (message.kind === "test") {
      return (["trigger", "resolve"] as const).map((action) => event({ message, incident, action }, config));
    }
    const action = incident.status === "firing" ? "trigger" : "resolve";
    return [event({ message, incident, action }, config)];
  });
}

type EventContent = { message: NotificationMessage; incident: Incident; action: Action };

function event(
  { message, incident, action }: EventContent,
  { routing_key }: Pick<WebhookNotificationConfig, "routing_key">,
) {
  const isTest = message.kind === "test";
  const [mostSevere, ...others] = incident.entries;
  const groups = Object.keys(incident.groups);
  return {
    routing_key,
    event_action: action,
    dedup_key: dedupKey(incident.dedup_key),
    payload: {
      summary: printable(isTest ? message.subject : headline(incident), MAX_SUMMARY_CHARACTERS) || "Failover",
      source: incident.cluster,
      severity: isTest ? "info" : incident.severity,
      timestamp: incident.opened_at,
      ...(mostSevere !== undefined && others.length === 0 && incident.entries_omitted === 0
        ? { component: mostSevere.task_id ?? mostSevere.agent_id ?? incident.cluster }
        : {}),
      ...(groups.length === 1 ? { group: groups[0] } : {}),
      ...(mostSevere === undefined ? {} : { class: printable(mostSevere.failure_type, 128) }),
      custom_details: detailsOf(incident),
    },
    ...(message.dashboardUrl === null
      ? {}
      : { links: [{ href: message.dashboardUrl, text: "Dashboard" }], client_url: message.dashboardUrl }),
    client: CLIENT,
  };
}

function detailsOf(incident: Incident) {
  const { failed, moved, stranded, locks, recovered, toDo } = facts(incident);
  const groups = groupsInWords(incident);
  const details = {
    when: timing(incident),
    counts: counts(incident),
    groups: groups ?? "",
    what_failed: shortened(failed),
    what_moved: shortened(moved),
    what_is_stranded: shortened(stranded),
    locks: locks ?? "",
    who_is_back: shortened(recovered),
    what_to_do: shortened(toDo),
  };
  return Object.fromEntries(Object.entries(details).filter(([, value]) => value.length > 0));
}

function shortened(lines: readonly string[]): string[] {
  const omitted = lines.length - MAX_LINES;
  return omitted > 0 ? [...lines.slice(0, MAX_LINES), `… and ${omitted} more`] : [...lines];
}

/** A key that is too long keeps its beginning and gets a fingerprint, so that it stays unique. */
function dedupKey(key: string): string {
  if (key.length <= MAX_KEY_CHARACTERS) return key;
  const mark = `~${fingerprint(key)}`;
  return key.slice(0, MAX_KEY_CHARACTERS - mark.length) + mark;
}
