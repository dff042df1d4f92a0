/**
 * The channel `system`: a message in the box of every active agent, or of those in the groups
 * where something failed. The delivery's own event is the entry for the dashboard.
 */
import { type Channel, DELIVERED } from "./channel.ts";

export const systemChannel: Channel = {
  name: "system",
  async deliver(notice, { config, tellAgents }) {
    const affected = notice.incidents.flatMap((incident) => Object.keys(incident.groups));
    const isForAll = config.failure_notification.system_groups === "all" || notice.kind === "test";
    tellAgents(isForAll ? null : [...new Set(affected)], {
      notification_id: notice.id,
      kind: notice.kind,
      status: notice.status,
      severity: notice.severity,
      summary: notice.subject,
      incidents: notice.incidents.map((incident) => ({
        dedup_key: incident.dedup_key,
        status: incident.status,
        severity: incident.severity,
        summary: incident.summary,
        agents_failed: incident.agents_failed,
        agents_recovered: incident.agents_recovered,
        tasks_reassigned: incident.tasks_reassigned,
        tasks_pending: incident.tasks_pending,
        tasks_failed: incident.tasks_failed,
        locks_released: incident.locks_released,
      })),
    });
    return DELIVERED;
  },
};
