/**
 * Incidents on the wire, which notifications are about. A failure and its consequences are one incident with one
 * `dedup_key`; failures that happen together share one incident.
 */
import * as z from "zod";
import { Id, Instant, pageOf } from "./common.ts";
import { Severity } from "./failure.ts";

export const INCIDENT_STATUSES = ["firing", "resolved"] as const;
export const IncidentStatus = z.enum(INCIDENT_STATUSES);
export type IncidentStatus = z.infer<typeof IncidentStatus>;

/** Entries in one incident; the counts include the others. */
export const ENTRIES_SHOWN = 50;

/** Tasks named in an entry; the counts include the others. */
export const TASKS_NAMED = 20;

export const ENTRY_ENDINGS = ["returned", "unregistered", "task_ended", "queue_served", "expired"] as const;

const count = z.int().min(0);

export const TaskMove = z.object({ task_id: Id, to: Id });
export type TaskMove = z.infer<typeof TaskMove>;

export const IncidentEntry = z
  .object({
    agent_id: Id.nullable(),
    task_id: Id.nullable().meta({ description: "Set if a task failed, not its agent." }),
    group: Id.nullable(),
    failure_id: z.string().meta({ description: "The latest failure of the entry." }),
    failure_type: z.string(),
    severity: Severity,
    message: z.string(),
    status: z.enum(["failed", "flapping", "recovered"]),
    failures: count.meta({ description: "Number of failures in this incident." }),
    failed_at: Instant,
    last_failed_at: Instant,
    last_sign_of_life_at: Instant.nullable(),
    recovered_at: Instant.nullable(),
    ended_by: z.enum(ENTRY_ENDINGS).nullable(),
    tasks_reassigned: count,
    tasks_pending: count,
    tasks_failed: count,
    locks_released: count,
    moved: z.array(TaskMove).max(TASKS_NAMED),
    stranded: z.array(Id).max(TASKS_NAMED),
  })
  .meta({
    id: "IncidentEntry",
    description: "An agent or a task that failed, or tasks of one type that wait for an agent.",
  });
export type IncidentEntry = z.infer<typeof IncidentEntry>;

export const Incident = z
  .object({
    dedup_key: z.string().meta({ description: "The same in every notification about the incident." }),
    cluster: z.string(),
    status: IncidentStatus,
    severity: Severity.meta({ description: "The highest severity of its failures." }),
    summary: z.string().meta({ description: "One line of English text." }),
    opened_at: Instant,
    updated_at: Instant,
    resolved_at: Instant.nullable(),
    failures: count.meta({ description: "Recorded failures in the incident." }),
    agents_failed: count.meta({ description: "Distinct agents that failed." }),
    agents_recovered: count.meta({ description: "Failed agents that are back or were unregistered." }),
    agents_flapping: count,
    failed_task_entries: count.meta({ description: "Distinct tasks that failed, not their agent." }),
    groups: z
      .record(Id, count)
      .meta({ description: "Failed agents per group, for the 20 most affected groups." }),
    tasks_reassigned: count,
    tasks_pending: count,
    tasks_failed: count,
    locks_released: count,
    entries: z.array(IncidentEntry).max(ENTRIES_SHOWN).meta({ description: "The highest severity first." }),
    entries_omitted: count.meta({ description: "Entries that are not in `entries`." }),
  })
  .meta({ id: "Incident" });
export type Incident = z.infer<typeof Incident>;

export const IncidentFilter = z.strictObject({ status: IncidentStatus.optional() });
export type IncidentFilter = z.infer<typeof IncidentFilter>;

export const IncidentPage = pageOf(Incident);
