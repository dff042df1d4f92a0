/**
 * Errors on the wire: RFC 9457 problem details with a stable `code`.
 * Inside the house an expected failure is a `Problem` value that carries its evidence;
 * the Worker alone turns it into a status and a body.
 */
import * as z from "zod";

export const ERROR_CODES = [
  "invalid_request",
  "unauthorized",
  "forbidden",
  "not_found",
  "method_not_allowed",
  "agent_in_other_group",
  "agent_live",
  "task_exists",
  "stale_attempt",
  "invalid_transition",
  "lock_held",
  "stale_fencing_token",
  "limit_reached",
  "session_expired",
  "config_changed",
  "payload_too_large",
  "unsupported_media_type",
  "rate_limited",
  "internal",
  "not_configured",
  "unavailable",
] as const;

export const ErrorCode = z.enum(ERROR_CODES);
export type ErrorCode = z.infer<typeof ErrorCode>;

export const FieldError = z.object({ path: z.string(), message: z.string() });
export type FieldError = z.infer<typeof FieldError>;

/** The body of every error. Codes with evidence add members of their own (`deadline_at`, `holder`, …). */
export const ProblemBody = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: ErrorCode,
    request_id: z.string(),
    errors: z.array(FieldError).optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details." });

/** A failure that callers must expect. `evidence` goes onto the wire beside the fixed members. */
export type Problem = {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly evidence?: Readonly<Record<string, string | number | null>>;
};

/** Either what was asked for, or why not. Crosses object boundaries as plain data. */
export type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: Problem };

export const ok = <Value>(value: Value): Outcome<Value> => ({ ok: true, value });

export const refuse = (
  code: ErrorCode,
  detail: string,
  evidence?: Readonly<Record<string, string | number | null>>,
): Outcome<never> => ({
  ok: false,
  problem: evidence === undefined ? { code, detail } : { code, detail, evidence },
});
