/** The error classes: one for each error code of the coordinator, and others for errors of the client itself. */
import type { ErrorCode, FieldError, JsonValue } from "./wire.ts";

/** A problem (RFC 9457). Members without a name here are evidence. */
type Problem = {
  code?: ErrorCode;
  detail?: string;
  title?: string;
  request_id?: string;
  errors?: FieldError[];
  [evidence: string]: unknown;
};

/**
 * The coordinator refused a call and changed nothing. Each `code` has its own class.
 * @example
 * try {
 *   await coordinator.tasks.get("no-such-task");
 * } catch (error) {
 *   if (!(error instanceof NotFoundError)) throw error;
 *   console.log(error.code, error.detail);
 * }
 */
export class FailoverError extends Error {
  /** Stable identifier; `unknown` if a proxy answered instead of the coordinator. */
  readonly code: ErrorCode | "unknown";
  /** HTTP status. */
  readonly status: number;
  /** One sentence for people. */
  readonly detail: string;
  /** More members, depending on the code: `holder`, `attempt`, `deadline_at`, … */
  readonly evidence: Readonly<Record<string, JsonValue>>;
  /** The invalid fields of the request. */
  readonly errors: readonly FieldError[];
  /** Identifies the call in the coordinator's log. */
  readonly requestId: string | null;
  /** From the header `Retry-After`; null without one. */
  readonly retryAfterSeconds: number | null;

  constructor(status: number, problem: Problem, retryAfterSeconds: number | null = null) {
    const {
      code = "unknown",
      detail = `answered ${status}`,
      errors = [],
      request_id = null,
      ...rest
    } = problem;
    const { type: _type, title: _title, status: _status, ...evidence } = rest;
    super(`${code}: ${[detail, ...errors.map(({ path, message }) => `${path} ${message}`)].join("; ")}`);
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.requestId = request_id;
    this.retryAfterSeconds = retryAfterSeconds;
    this.evidence = evidence as Record<string, JsonValue>;
  }
}

/** 400: see `errors`. */
export class InvalidRequestError extends FailoverError {}
/** 401: no valid token. */
export class UnauthorizedError extends FailoverError {}
/** 403: the token does not permit this call. */
export class ForbiddenError extends FailoverError {}
/** 404. */
export class NotFoundError extends FailoverError {}
/** 405: the coordinator is older than this client. */
export class MethodNotAllowedError extends FailoverError {}
/** 408: the body of the request did not arrive within 30 s. */
export class RequestTimeoutError extends FailoverError {}
/** 409: the agent is live in another group: `evidence.group`. */
export class AgentInOtherGroupError extends FailoverError {}
/** 409: an agent with this id is live in another process: `evidence.deadline_at`. */
export class AgentLiveError extends FailoverError {}
/** 409: a task with this id and other content exists. */
export class TaskExistsError extends FailoverError {}
/** 409: the attempt is no longer current: `evidence.attempt`, `evidence.assigned_to`. */
export class StaleAttemptError extends FailoverError {}
/** 409: the current state does not allow this: `evidence.task_status`. */
export class InvalidTransitionError extends FailoverError {}
/** 409: another agent holds the lock: `evidence.holder`, `evidence.expires_at`. */
export class LockHeldError extends FailoverError {}
/** 409: the grant has ended: acquire the lock again. */
export class StaleFencingTokenError extends FailoverError {}
/** 409: a limit is reached. */
export class LimitReachedError extends FailoverError {}
/** 410: this incarnation of the agent has ended: `evidence.reason`, `evidence.superseded_by`. */
export class SessionExpiredError extends FailoverError {}
/** 412: the configuration no longer has this ETag. */
export class ConfigChangedError extends FailoverError {}
/** 413: more than 256 KB, or 8 MB for a batch. */
export class PayloadTooLargeError extends FailoverError {}
/** 415. */
export class UnsupportedMediaTypeError extends FailoverError {}
/** 429: `retryAfterSeconds`. */
export class RateLimitedError extends FailoverError {}
/** 500: see the coordinator's log, `requestId`. */
export class InternalError extends FailoverError {}
/** 503: the deployment lacks its secrets. */
export class NotConfiguredError extends FailoverError {}
/** 503: `retryAfterSeconds`. */
export class UnavailableError extends FailoverError {}

const CLASSES: Record<ErrorCode, typeof FailoverError> = {
  invalid_request: InvalidRequestError,
  unauthorized: UnauthorizedError,
  forbidden: ForbiddenError,
  not_found: NotFoundError,
  method_not_allowed: MethodNotAllowedError,
  request_timeout: RequestTimeoutError,
  agent_in_other_group: AgentInOtherGroupError,
  agent_live: AgentLiveError,
  task_exists: TaskExistsError,
  stale_attempt: StaleAttemptError,
  invalid_transition: InvalidTransitionError,
  lock_held: LockHeldError,
  stale_fencing_token: StaleFencingTokenError,
  limit_reached: LimitReachedError,
  session_expired: SessionExpiredError,
  config_changed: ConfigChangedError,
  payload_too_large: PayloadTooLargeError,
  unsupported_media_type: UnsupportedMediaTypeError,
  rate_limited: RateLimitedError,
  internal: InternalError,
  not_configured: NotConfiguredError,
  unavailable: UnavailableError,
};

/** The error for a refused call. The body may be a problem, or any other text of a proxy. */
export function errorOf(status: number, body: unknown, retryAfter: string | null = null): FailoverError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Problem;
  const Kind = (problem.code && CLASSES[problem.code]) || FailoverError;
  const seconds = Number(retryAfter ?? Number.NaN);
  return new Kind(status, problem, Number.isFinite(seconds) ? seconds : null);
}

/** No response: no connection, or a timeout. Whether the call took effect is unknown. See `cause`. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Why the coordinator ended an agent for good. */
export type AgentEnd = "superseded" | "unregistered" | "revoked";

const WHY_AGENTS_END = {
  superseded: "has registered this agent id; each process needs an id of its own",
  unregistered: "the agent was unregistered by another caller; start it again to register it",
  revoked: "the token that registered the agent was revoked; start it again with another token",
};

/** The coordinator has ended this agent for good. The agent has stopped by itself, and does not register again. */
export class AgentEndedError extends Error {
  override readonly name = "AgentEndedError";
  readonly reason: AgentEnd;
  /** The process that has registered the agent's id, `HOST/PID/RANDOM`; null if that process did not say. */
  readonly supersededBy: string | null;

  constructor(agentId: string, reason: AgentEnd, supersededBy: string | null = null) {
    const other = supersededBy === null ? "another process " : `another process, ${supersededBy}, `;
    super(`agent ${agentId} has ended: ${reason === "superseded" ? other : ""}${WHY_AGENTS_END[reason]}`);
    this.reason = reason;
    this.supersededBy = supersededBy;
  }
}

/** The reason of a task's aborted `signal`. */
export class TaskRevokedError extends Error {
  override readonly name = "TaskRevokedError";
  /** A `RevocationReason` of the coordinator, or an `AgentEnd`, or `out_of_touch`, or `stopping`. */
  readonly reason: string;

  constructor(reason: string) {
    super(`the task no longer belongs to this agent: ${reason}`);
    this.reason = reason;
  }
}

/** The reason of a lock's aborted `signal`. Another agent may hold the lock by now. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
}

// Minification renames the classes, and a platform prints an uncaught error under the name of its class.
const NAMED = { FailoverError, AgentEndedError, ConnectionError, LockLostError, TaskRevokedError };
for (const [name, Kind] of [
  ...Object.entries(NAMED),
  ...Object.entries(CLASSES).map(
    ([code, Kind]) =>
      [`${code.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase())}Error`, Kind] as const,
  ),
]) {
  Object.defineProperty(Kind, "name", { value: name });
}
