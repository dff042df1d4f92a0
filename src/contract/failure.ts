/** Failures on the wire: each record says what failed and what followed from it. */
import * as z from "zod";
import { Id, Instant, JsonValue, Name, pageOf } from "./common.ts";

/** In ascending order, which the filter `min_severity` uses. */
export const SEVERITIES = ["info", "warning", "error", "critical"] as const;
export const Severity = z.enum(SEVERITIES);
export type Severity = z.infer<typeof Severity>;

export function isAtLeast(severity: Severity, minimum: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(minimum);
}

export function mostSevere(one: Severity, other: Severity): Severity {
  return isAtLeast(one, other) ? one : other;
}

export const FAILURE_TYPES = [
  "heartbeat_timeout",
  "connection_lost",
  "agent_restarted",
  "duplicate_agent_id",
  "task_failure",
  "task_timeout",
  "reported",
  "max_reassignments_exceeded",
  "no_suitable_agent",
] as const;

export const Failure = z
  .object({
    id: z.string(),
    at: Instant,
    agent_id: Id.nullable(),
    group: Id.nullable(),
    failure_type: Name.meta({
      description: `One of ${FAILURE_TYPES.join(", ")}, or a type that the reporter chose.`,
    }),
    severity: Severity,
    message: z.string(),
    details: z.record(z.string(), JsonValue),
    agent: z
      .object({
        type: z.string(),
        capabilities: z.array(z.string()),
        task_count: z.int(),
        last_heartbeat_at: Instant.nullable(),
        reliability: z.number(),
      })
      .nullable(),
    detection_seconds: z
      .number()
      .nullable()
      .meta({ description: "Time from the last sign of life to the declaration of the failure." }),
    tasks_reassigned: z.int(),
    tasks_pending: z.int(),
    tasks_failed: z.int(),
    locks_released: z.array(z.string()),
  })
  .meta({ id: "Failure" });
export type Failure = z.infer<typeof Failure>;

export const FailureFilter = z.strictObject({
  agent_id: Id.optional(),
  failure_type: Name.optional(),
  min_severity: Severity.optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  until: z.iso.datetime({ offset: true }).optional(),
});
export type FailureFilter = z.infer<typeof FailureFilter>;

export const FailureAnswer = z.object({ failure: Failure });
export const FailurePage = pageOf(Failure);
