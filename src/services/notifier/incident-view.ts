/** Incidents as the API and the messages show them. */
import { SEVERITIES } from "../../contract/failure.ts";
import { ENTRIES_SHOWN, type Incident, type IncidentEntry } from "../../contract/incident.ts";
import { instant, instantOrNull } from "../../contract/instant.ts";
import { type IncidentRecord, resolvedFromMs, statusAt } from "../../domain/incident/incident.ts";
import { type EntryRecord, entryStatus } from "../../domain/incident/incident-entry.ts";
import { counts } from "../../notifications/incident-summary.ts";

/** Groups named in an incident, those with the most failures first. */
const GROUPS_SHOWN = 20;

/** Shows less than usual, where many incidents share a message. */
export type ViewLimits = {
  entriesShown?: number;
  /** Tasks named in an entry. */
  tasksNamed?: number;
};

export type ViewOptions = ViewLimits & {
  cluster: string;
  /** How long a flapping agent must stay active before its recovery counts. */
  calmMs: number;
  nowMs: number;
};

export const dedupKeyOf = (cluster: string, incidentId: string) => `${cluster}/${incidentId}`;

export function incidentView(
  incident: IncidentRecord,
  records: readonly EntryRecord[],
  options: ViewOptions,
): Incident {
  const { cluster, nowMs, entriesShown = ENTRIES_SHOWN } = options;
  const entries = records.map((record) => entryView(record, options)).sort(mostSevereFirst);
  const agents = entries.filter((entry) => entry.task_id === null && entry.agent_id !== null);
  const sum = (count: (entry: IncidentEntry) => number) =>
    entries.reduce((total, entry) => total + count(entry), 0);
  const countWith = (status: IncidentEntry["status"]) =>
    agents.filter((agent) => agent.status === status).length;
  const resolvedMs = resolvedFromMs(incident);
  const status = statusAt(incident, nowMs);
  const view: Incident = {
    dedup_key: dedupKeyOf(cluster, incident.id),
    cluster,
    status,
    severity: incident.severity,
    summary: "",
    opened_at: instant(incident.openedAtMs),
    updated_at: instant(incident.updatedAtMs),
    resolved_at: instantOrNull(status === "resolved" ? resolvedMs : null),
    failures: incident.failures,
    agents_failed: agents.length,
    agents_recovered: countWith("recovered"),
    agents_flapping: countWith("flapping"),
    failed_task_entries: entries.filter((entry) => entry.task_id !== null).length,
    groups: groupsOf(agents),
    tasks_reassigned: sum((entry) => entry.tasks_reassigned),
    tasks_pending: sum((entry) => entry.tasks_pending),
    tasks_failed: sum((entry) => entry.tasks_failed),
    locks_released: sum((entry) => entry.locks_released),
    entries: entries.slice(0, entriesShown),
    entries_omitted: Math.max(0, entries.length - entriesShown),
  };
  return { ...view, summary: counts(view) };
}

function entryView(entry: EntryRecord, { calmMs, nowMs, tasksNamed }: ViewOptions): IncidentEntry {
  return {
    agent_id: entry.agentId,
    task_id: entry.taskId,
    group: entry.group,
    failure_id: entry.failureId,
    failure_type: entry.failureType,
    severity: entry.severity,
    message: entry.message,
    status: entryStatus(entry, calmMs, nowMs),
    failures: entry.failures,
    failed_at: instant(entry.failedAtMs),
    last_failed_at: instant(entry.lastFailedAtMs),
    last_sign_of_life_at: entry.lastSignAt,
    recovered_at: instantOrNull(entry.endedAtMs),
    ended_by: entry.endedBy,
    tasks_reassigned: entry.tasksReassigned,
    tasks_pending: entry.tasksPending,
    tasks_failed: entry.tasksFailed,
    locks_released: entry.locksReleased,
    moved: entry.moved.slice(0, tasksNamed),
    stranded: entry.stranded.slice(0, tasksNamed),
  };
}

/** Entries that have not recovered come first, then by severity, then the latest failure. */
function mostSevereFirst(a: IncidentEntry, b: IncidentEntry): number {
  return (
    Number(a.status === "recovered") - Number(b.status === "recovered") ||
    SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) ||
    b.last_failed_at.localeCompare(a.last_failed_at) ||
    (a.agent_id ?? "").localeCompare(b.agent_id ?? "")
  );
}

function groupsOf(agents: readonly IncidentEntry[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { group } of agents) if (group !== null) counts.set(group, (counts.get(group) ?? 0) + 1);
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]).slice(0, GROUPS_SHOWN));
}
