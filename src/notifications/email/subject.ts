/**
 * The subject of a mail. Only its tag changes while an incident is firing and when it is resolved: mail clients ignore
 * `[tags]` (RFC 5256, "base subject") when they group mails into a conversation.
 */
import type { Incident } from "../../contract/incident.ts";
import type { NotificationMessage } from "../notification-message.ts";
import { counted, printable } from "../text.ts";

/** Twice what a phone shows of a subject. Some clients cut longer ones without a sign. */
const MAX_SUBJECT_CHARACTERS = 150;

/** One line without control characters. */
export function subjectOf(message: NotificationMessage): string {
  return printable(`[${tagOf(message)}] ${topicOf(message)}`, MAX_SUBJECT_CHARACTERS);
}

function tagOf({ kind, status, severity }: NotificationMessage): string {
  if (kind !== "incident") return kind;
  return status === "resolved" ? status : severity;
}

function topicOf({ kind, cluster, incidents, severity, status }: NotificationMessage): string {
  const [incident] = incidents;
  if (kind === "test") return `Notifications of cluster ${cluster}`;
  if (kind === "digest" || incident === undefined) {
    const state = status === "resolved" ? "all resolved" : `up to ${severity}`;
    return `${counted(incidents.length, "incident")} in cluster ${cluster}, ${state}`;
  }
  return `${whatFailed(incident)} in cluster ${cluster}`;
}

/** One agent is named, several are counted, recovered ones included. */
function whatFailed(incident: Incident): string {
  const { agents_failed, failed_task_entries, failures, entries } = incident;
  if (agents_failed === 0 && failed_task_entries === 0) return counted(failures, "failure");
  if (agents_failed + failed_task_entries > 1) {
    const parts = [
      ...(agents_failed > 0 ? [counted(agents_failed, "agent")] : []),
      ...(failed_task_entries > 0 ? [counted(failed_task_entries, "task")] : []),
    ];
    return `${parts.join(" and ")} failed`;
  }
  const [entry] = entries;
  const taskId = entry?.task_id ?? null;
  if (taskId !== null) return `Task ${taskId} failed`;
  return typeof entry?.agent_id === "string" ? `${entry.agent_id} failed` : "1 agent failed";
}
