/**
 * From an expected failure to HTTP: one table from code to status and title, and one way to
 * write a problem (RFC 9457). Errors may name a key, never repeat a value.
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { ErrorCode, FieldError, Outcome, Problem } from "../src/contract/problem.ts";
import type { Vars } from "./vars.ts";

const PROBLEMS: Record<ErrorCode, { status: ContentfulStatusCode; title: string }> = {
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
};

/** Seconds after which an unavailable service is worth another try. */
const RETRY_AFTER_SECONDS = 1;

/** Carries a refusal out of a handler to the one place that writes it. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.code);
    this.problem = problem;
  }
}

/** The value, or the refusal thrown. */
export function unwrap<Value>(outcome: Outcome<Value>): Value {
  if (outcome.ok) return outcome.value;
  throw new Refused(outcome.problem);
}

/** A problem's body as it stands in a batch's item: without request. */
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

export function problemResponse(c: Context<Vars>, problem: Problem): Response {
  const { status } = PROBLEMS[problem.code];
  const body = { ...problemItem(problem), request_id: c.get("requestId") };
  const headers: Record<string, string> = { "Content-Type": "application/problem+json" };
  if (status === 401) headers["WWW-Authenticate"] = "Bearer";
  if (status === 429 || problem.code === "unavailable") headers["Retry-After"] = String(RETRY_AFTER_SECONDS);
  return c.body(JSON.stringify(body), status, headers);
}
