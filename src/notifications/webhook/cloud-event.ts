/** The preset for programs: a message as a CloudEvents 1.0 event in structured JSON. Text of agents is not changed. */
import type { Incident } from "../../contract/incident.ts";
import type { NotificationMessage } from "../notification-message.ts";
import type { Preset } from "./preset.ts";

/** Incidents in one event; beyond these, only their number. */
export const MAX_INCIDENTS = 50;

export const cloudEventPreset: Preset = {
  defaultUrl: null,
  missing: () => null,
  bodies: (message) => [cloudEvent(message)],
};

export function cloudEvent(message: NotificationMessage) {
  const { incidents } = message;
  const about = message.kind === "digest" ? null : (incidents[0] ?? null);
  return {
    specversion: "1.0",
    id: message.id,
    source: `/v1/clusters/${message.cluster}`,
    type: typeOf(message),
    ...(about === null ? {} : { subject: about.dedup_key }),
    time: message.at,
    datacontenttype: "application/json",
    data: {
      kind: message.kind,
      status: message.status,
      severity: message.severity,
      summary: message.subject,
      ...(message.kind === "digest" ? several(incidents) : { incident: about }),
      dashboard_url: message.dashboardUrl,
    },
  };
}

function several(incidents: readonly Incident[]) {
  const shown = incidents.slice(0, MAX_INCIDENTS);
  return { incidents: shown, incidents_omitted: incidents.length - shown.length };
}

function typeOf({ kind, status }: NotificationMessage): string {
  return kind === "incident" ? `failover.incident.${status}` : `failover.${kind}`;
}
