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

/** How each code stands on the wire, over HTTP and over a socket alike. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "A valid token is needed" },
  forbidden: { status: 403, title: "This token may not do that" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "This method is not allowed here" },
  agent_in_other_group: { status: 409, title: "The agent is live in another group" },
  agent_live: { status: 409, title: "The agent is live" },
  task_exists: { status: 409, title: "The task id is taken" },
  stale_attempt: { status: 409, title: "The attempt is no longer current" },
  invalid_transition: { status: 409, title: "The task's status does not allow that" },
  lock_held: { status: 409, title: "The lock is held" },
  stale_fencing_token: { status: 409, title: "The fencing token is no longer current" },
  limit_reached: { status: 409, title: "A limit is reached" },
  session_expired: { status: 410, title: "This incarnation is over" },
  config_changed: { status: 412, title: "The configuration changed meanwhile" },
  payload_too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body must be JSON" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Something broke on our side" },
  not_configured: { status: 503, title: "This deployment is not configured" },
  unavailable: { status: 503, title: "Not available right now" },
} as const satisfies Record<ErrorCode, { status: number; title: string }>;

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

/** A problem without the request it answers: in a batch's item, or in a frame. */
export function problemItem(problem: Problem) {
  const { status, title } = PROBLEMS[problem.code];
  return {
    ...problem.evidence,
    type: "about:blank",
    title,
    status: status as number,
    detail: problem.detail,
    code: problem.code,
    ...errorList(problem),
  };
}

/** An invalid request always says what is wrong with which part; an empty path means the whole. */
function errorList({ code, detail, errors }: Problem): { errors?: FieldError[] } {
  if (errors !== undefined) return { errors: [...errors] };
  return code === "invalid_request" ? { errors: [{ path: "", message: detail }] } : {};
}
