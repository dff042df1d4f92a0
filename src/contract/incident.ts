/**
 * Incidents on the wire: what people are told. A failure and everything that follows from it is
 * one incident with one `dedup_key`; failures that come together share one.
 */
import * as z from "zod";
import { Id, Instant, pageOf } from "./common.ts";
import { Severity } from "./failure.ts";

export const INCIDENT_STATUSES = ["firing", "resolved"] as const;
export const IncidentStatus = z.enum(INCIDENT_STATUSES);
export type IncidentStatus = z.infer<typeof IncidentStatus>;

/** Entries that one message shows; the counts cover the rest. */
export const ENTRIES_SHOWN = 50;

/** Tasks named in an entry; the counts cover the rest. */
export const TASKS_NAMED = 20;

export const ENTRY_ENDINGS = ["returned", "unregistered", "task_ended", "expired"] as const;

const count = z.int().min(0);

export const TaskMove = z.object({ task_id: Id, to: Id });
export type TaskMove = z.infer<typeof TaskMove>;

export const IncidentEntry = z
  .object({
    agent_id: Id.nullable(),
    task_id: Id.nullable().meta({ description: "Of a failure that is a task's, not its agent's." }),
    group: Id.nullable(),
    failure_id: z.string().meta({ description: "The latest failure's." }),
    failure_type: z.string(),
    severity: Severity,
    message: z.string(),
    status: z.enum(["failed", "flapping", "recovered"]),
    failures: count.meta({ description: "How often it failed in this incident." }),
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
  .meta({ id: "IncidentEntry", description: "An agent, or a task, that failed." });
export type IncidentEntry = z.infer<typeof IncidentEntry>;

export const Incident = z
  .object({
    dedup_key: z.string().meta({ description: "Stays the same from the first message to the last." }),
    cluster: z.string(),
    status: IncidentStatus,
    severity: Severity.meta({ description: "The gravest of its failures." }),
    summary: z.string().meta({ description: "One line for people." }),
    opened_at: Instant,
    updated_at: Instant,
    resolved_at: Instant.nullable(),
    failures: count.meta({ description: "Failures on record that it covers." }),
    agents_failed: count.meta({ description: "Distinct agents that failed." }),
    agents_recovered: count.meta({ description: "Of these, those that are back or have left for good." }),
    agents_flapping: count,
    failed_task_entries: count.meta({ description: "Distinct tasks with a failure of their own." }),
    groups: z.record(Id, count).meta({ description: "Failed agents by group, the 20 most affected." }),
    tasks_reassigned: count,
    tasks_pending: count,
    tasks_failed: count,
    locks_released: count,
    entries: z.array(IncidentEntry).max(ENTRIES_SHOWN).meta({ description: "The gravest first." }),
    entries_omitted: count.meta({ description: "Entries beyond those shown." }),
  })
  .meta({ id: "Incident" });
export type Incident = z.infer<typeof Incident>;

export const IncidentFilter = z.strictObject({ status: IncidentStatus.optional() });
export type IncidentFilter = z.infer<typeof IncidentFilter>;

export const IncidentPage = pageOf(Incident);
