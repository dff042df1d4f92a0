/** Incidents and notification messages as the notifier makes them. */
import type { Incident, IncidentEntry } from "../../src/contract/incident.ts";
import { ENTRIES_SHOWN, TASKS_NAMED } from "../../src/contract/incident.ts";
import type { NotificationMessage } from "../../src/notifications/notification-message.ts";

export function entryWith(more: Partial<IncidentEntry> = {}): IncidentEntry {
  return {
    agent_id: "worker-7",
    task_id: null,
    group: "eu",
    failure_id: "failure-1",
    failure_type: "heartbeat_timeout",
    severity: "error",
    message: "no sign of life for 30 s",
    status: "failed",
    failures: 1,
    failed_at: "2026-01-31T09:05:00.000Z",
    last_failed_at: "2026-01-31T09:05:00.000Z",
    last_sign_of_life_at: "2026-01-31T09:04:30.000Z",
    recovered_at: null,
    ended_by: null,
    tasks_reassigned: 2,
    tasks_pending: 1,
    tasks_failed: 0,
    locks_released: 1,
    moved: [
      { task_id: "task-1", to: "worker-8" },
      { task_id: "task-2", to: "worker-9" },
    ],
    stranded: ["task-3"],
    ...more,
  };
}

/** Its counts are those of its entries, unless `more` says otherwise. */
export function incidentWith(more: Partial<Incident> = {}): Incident {
  const entries = more.entries ?? [entryWith()];
  const sum = (
    field: "failures" | "tasks_reassigned" | "tasks_pending" | "tasks_failed" | "locks_released",
  ) => entries.reduce((total, entry) => total + entry[field], 0);
  const agents = entries.filter(({ task_id }) => task_id === null);
  return {
    dedup_key: "demo/incident-1",
    cluster: "demo",
    status: "firing",
    severity: "error",
    summary: "worker-7 failed",
    opened_at: "2026-01-31T09:05:00.000Z",
    updated_at: "2026-01-31T09:05:05.000Z",
    resolved_at: null,
    failures: sum("failures"),
    agents_failed: agents.length,
    agents_recovered: agents.filter(({ status }) => status === "recovered").length,
    agents_flapping: agents.filter(({ status }) => status === "flapping").length,
    failed_task_entries: entries.length - agents.length,
    groups: { eu: agents.length },
    tasks_reassigned: sum("tasks_reassigned"),
    tasks_pending: sum("tasks_pending"),
    tasks_failed: sum("tasks_failed"),
    locks_released: sum("locks_released"),
    entries,
    entries_omitted: 0,
    ...more,
  };
}

/** It is over: its one agent came back after two minutes. */
export function resolvedIncident(): Incident {
  const at = "2026-01-31T09:07:00.000Z";
  return incidentWith({
    status: "resolved",
    resolved_at: at,
    updated_at: at,
    entries: [entryWith({ status: "recovered", recovered_at: at, ended_by: "returned" })],
  });
}

export function noticeWith(more: Partial<NotificationMessage> = {}): NotificationMessage {
  const incidents = more.incidents ?? [incidentWith()];
  return {
    id: "notice-1",
    cluster: "demo",
    kind: "incident",
    at: "2026-01-31T09:05:05.000Z",
    status: incidents.some(({ status }) => status === "firing") ? "firing" : "resolved",
    severity: incidents[0]?.severity ?? "info",
    subject: "worker-7 failed",
    incidents,
    dashboardUrl: "https://coordinator.example/?a=1&b=2",
    ...more,
  };
}

/** As much of everything as the contract allows, and `text` wherever an agent writes. */
export function largestIncident(text: string): Incident {
  const longId = (name: string, number: number) => `${name}-${number}-`.padEnd(128, "x");
  const entries = Array.from({ length: ENTRIES_SHOWN }, (_, number) =>
    entryWith({
      agent_id: longId("agent", number),
      group: longId("group", number),
      status: number % 3 === 0 ? "failed" : number % 3 === 1 ? "flapping" : "recovered",
      recovered_at: number % 3 === 2 ? "2026-01-31T09:07:00.000Z" : null,
      failure_type: text.slice(0, 128),
      message: text,
      failures: 1000,
      tasks_reassigned: 10_000,
      tasks_pending: 10_000,
      tasks_failed: 10_000,
      moved: Array.from({ length: TASKS_NAMED }, (_, task) => ({
        task_id: longId(`task-${number}`, task),
        to: longId("target", task),
      })),
      stranded: Array.from({ length: TASKS_NAMED }, (_, task) => longId(`stranded-${number}`, task)),
    }),
  );
  return incidentWith({
    dedup_key: "k".repeat(400),
    severity: "critical",
    summary: text,
    entries,
    entries_omitted: 12_345,
    groups: Object.fromEntries(Array.from({ length: 20 }, (_, number) => [longId("group", number), 500])),
  });
}
