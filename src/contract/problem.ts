/**
 * Errors on the wire: RFC 9457 problem details with a stable `code`. Inside the product an expected failure is a
 * `Problem` value that carries its evidence; only the Worker turns it into a status and a body.
 */
import * as z from "zod";

/** Every error code, with its HTTP status and its title. A frame of a socket has the same status and title. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "The request needs a valid token" },
  forbidden: { status: 403, title: "The token does not permit this" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "The path does not have this method" },
  request_timeout: { status: 408, title: "The body did not arrive in time" },
  agent_in_other_group: { status: 409, title: "The agent is live in another group" },
  agent_live: { status: 409, title: "The agent is live" },
  task_exists: { status: 409, title: "Another task has this id" },
  stale_attempt: { status: 409, title: "The attempt is no longer current" },
  invalid_transition: { status: 409, title: "The present status does not allow this" },
  lock_held: { status: 409, title: "Another agent holds the lock" },
  stale_fencing_token: { status: 409, title: "The fencing token is no longer current" },
  limit_reached: { status: 409, title: "A limit is reached" },
  session_expired: { status: 410, title: "The incarnation has ended" },
  config_changed: { status: 412, title: "The configuration has changed since it was read" },
  payload_too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body must be JSON" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "The service failed" },
  not_configured: { status: 503, title: "The deployment is not configured" },
  unavailable: { status: 503, title: "Temporarily not available" },
} as const satisfies Record<string, { status: number; title: string }>;

export const ErrorCode = z.enum(Object.keys(PROBLEMS) as (keyof typeof PROBLEMS)[]);
export type ErrorCode = z.infer<typeof ErrorCode>;

export const FieldError = z.object({ path: z.string(), message: z.string() });
export type FieldError = z.infer<typeof FieldError>;

/** The body of every error. Some codes add members with evidence (`deadline_at`, `holder`, …). */
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

/** A failure that callers must expect. `evidence` is sent beside the fixed members. */
export type Problem = {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly evidence?: Readonly<Record<string, string | number | null>>;
};

/** Either the value or the reason for the refusal. Plain data, which objects can send to each other. */
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

/** A problem without a request id: for an item of a batch, or a frame. */
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

/** An invalid request always lists what is wrong in which part; an empty path means the whole body. */
function errorList({ code, detail, errors }: Problem): { errors?: FieldError[] } {
  if (errors !== undefined) return { errors: [...errors] };
  return code === "invalid_request" ? { errors: [{ path: "", message: detail }] } : {};
}
