/** The channel `log`: one structured line a message. */
import type { Severity } from "../contract/failure.ts";
import { type Channel, DELIVERED } from "./channel.ts";
import { failedTasks } from "./incident-summary.ts";

const LEVELS: Record<Severity, "info" | "warn" | "error"> = {
  info: "info",
  warning: "warn",
  error: "error",
  critical: "error",
};

/** Agents named in a line; the counts cover the rest. */
const AGENTS_NAMED = 10;

export const logChannel: Channel = {
  name: "log",
  async deliver(message, { log }) {
    const { incidents } = message;
    const sum = (count: (incident: (typeof incidents)[number]) => number) =>
      incidents.reduce((total, incident) => total + count(incident), 0);
    log.line(message.status === "resolved" ? "info" : LEVELS[message.severity], "failure_notification", {
      notification_id: message.id,
      cluster: message.cluster,
      kind: message.kind,
      status: message.status,
      severity: message.severity,
      subject: message.subject,
      dedup_keys: incidents.map((incident) => incident.dedup_key),
      failures: sum((incident) => incident.failures),
      agents_failed: sum((incident) => incident.agents_failed),
      agents_recovered: sum((incident) => incident.agents_recovered),
      agents: incidents
        .flatMap((incident) => incident.entries.flatMap((entry) => entry.agent_id ?? []))
        .slice(0, AGENTS_NAMED),
      tasks_reassigned: sum((incident) => incident.tasks_reassigned),
      tasks_pending: sum((incident) => incident.tasks_pending),
      tasks_failed: sum(failedTasks),
      locks_released: sum((incident) => incident.locks_released),
    });
    return DELIVERED;
  },
};
