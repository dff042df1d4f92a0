/**
 * The channel `system`: a message in the mailbox of every active agent, or of those in the groups where something failed.
 * The dashboard shows the event that each delivery records.
 */
import { type Channel, DELIVERED } from "./channel.ts";
import { failedTasks } from "./incident-summary.ts";

export const systemChannel: Channel = {
  name: "system",
  async deliver(message, { config, broadcast }) {
    const affectedGroups = message.incidents.flatMap((incident) => Object.keys(incident.groups));
    const isForAll = config.failure_notification.system_groups === "all" || message.kind === "test";
    const content = {
      notification_id: message.id,
      kind: message.kind,
      status: message.status,
      severity: message.severity,
      summary: message.subject,
      incidents: message.incidents.map((incident) => ({
        dedup_key: incident.dedup_key,
        status: incident.status,
        severity: incident.severity,
        summary: incident.summary,
        agents_failed: incident.agents_failed,
        agents_recovered: incident.agents_recovered,
        tasks_reassigned: incident.tasks_reassigned,
        tasks_pending: incident.tasks_pending,
        tasks_failed: failedTasks(incident),
        locks_released: incident.locks_released,
      })),
    };
    broadcast({ groups: isForAll ? null : [...new Set(affectedGroups)], content });
    return DELIVERED;
  },
};
