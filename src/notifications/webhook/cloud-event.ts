/**
 * A notice as a CloudEvents 1.0 event in structured JSON: the preset for programs. Text of agents is
 * data in it and stays as it is.
 */
import type { Incident } from "../../contract/incident.ts";
import type { NotificationMessage } from "../notification-message.ts";
import type { Preset } from "./preset.ts";

/** Incidents that one event carries; a count covers the rest. */
export const MAX_INCIDENTS = 50;

export const cloudEventPreset: Preset = {
  defaultUrl: null,
  missing: () => null,
  bodies: (notice) => [cloudEvent(notice)],
};

export function cloudEvent(notice: NotificationMessage) {
  const { incidents } = notice;
  const about = notice.kind === "digest" ? null : (incidents[0] ?? null);
  return {
    specversion: "1.0",
    id: notice.id,
    source: `/v1/clusters/${notice.cluster}`,
    type: typeOf(notice),
    ...(about === null ? {} : { subject: about.dedup_key }),
    time: notice.at,
    datacontenttype: "application/json",
    data: {
      kind: notice.kind,
      status: notice.status,
      severity: notice.severity,
      summary: notice.subject,
      ...(notice.kind === "digest" ? several(incidents) : { incident: about }),
      dashboard_url: notice.dashboardUrl,
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
