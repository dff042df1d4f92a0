/** What can go wrong, as classes: one for each code of the coordinator, and one for no answer at all. */
import type { ErrorCode, FieldError, JsonValue } from "./wire.ts";

/** The members that every problem has; all others are evidence. */
type Problem = {
  code?: ErrorCode;
  detail?: string;
  title?: string;
  request_id?: string;
  errors?: FieldError[];
  [evidence: string]: unknown;
};

/**
 * The coordinator refused a call. An error changes nothing there. Each `code` has a class of its own.
 * @example
 * try {
 *   await coordinator.tasks.get("no-such-task");
 * } catch (error) {
 *   if (!(error instanceof NotFoundError)) throw error;
 *   console.log(error.code, error.detail);
 * }
 */
export class FailoverError extends Error {
  /** Stable, to be told apart by; `unknown` if somebody on the way answered, not the coordinator. */
  readonly code: ErrorCode | "unknown";
  /** HTTP status. */
  readonly status: number;
  /** One sentence for people. */
  readonly detail: string;
  /** What the code comes with: `holder`, `attempt`, `deadline_at`, … */
  readonly evidence: Readonly<Record<string, JsonValue>>;
  /** Of an invalid request: what is wrong with which part. */
  readonly errors: readonly FieldError[];
  /** To be found by in the coordinator's log. */
  readonly requestId: string | null;
  /** Seconds after which another try is worth it, if it was said. */
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
    // Minified, a class has forgotten its name.
    this.name =
      code === "unknown"
        ? "FailoverError"
        : `${code.replace(/(?:^|_)(.)/g, (_, letter) => letter.toUpperCase())}Error`;
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.requestId = request_id;
    this.retryAfterSeconds = retryAfterSeconds;
    this.evidence = evidence as Record<string, JsonValue>;
  }
}

/** 400: `errors` says what is wrong. */
export class InvalidRequestError extends FailoverError {}
/** 401: no valid token. */
export class UnauthorizedError extends FailoverError {}
/** 403: this token may not do that. */
export class ForbiddenError extends FailoverError {}
/** 404. */
export class NotFoundError extends FailoverError {}
/** 405: the coordinator is older than this client. */
export class MethodNotAllowedError extends FailoverError {}
/** 409: the agent is live in another group: `evidence.group`. */
export class AgentInOtherGroupError extends FailoverError {}
/** 409: somebody else's agent of that id is live: `evidence.deadline_at`. */
export class AgentLiveError extends FailoverError {}
/** 409: the task id is taken by another content. */
export class TaskExistsError extends FailoverError {}
/** 409: the attempt is no longer current: `evidence.attempt`, `evidence.assigned_to`. */
export class StaleAttemptError extends FailoverError {}
/** 409: what there is does not allow that: `evidence.task_status`. */
export class InvalidTransitionError extends FailoverError {}
/** 409: held by another: `evidence.holder`, `evidence.expires_at`. */
export class LockHeldError extends FailoverError {}
/** 409: the grant is over: acquire the lock again. */
export class StaleFencingTokenError extends FailoverError {}
/** 409: a bound is reached. */
export class LimitReachedError extends FailoverError {}
/** 410: this incarnation of the agent is over. An `Agent` registers again by itself. */
export class SessionExpiredError extends FailoverError {}
/** 412: the configuration is no longer the one with that ETag. */
export class ConfigChangedError extends FailoverError {}
/** 413: more than 256 KB, or 8 MB for a batch. */
export class PayloadTooLargeError extends FailoverError {}
/** 415. */
export class UnsupportedMediaTypeError extends FailoverError {}
/** 429: `retryAfterSeconds`. */
export class RateLimitedError extends FailoverError {}
/** 500: the coordinator's log has it under `requestId`. */
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

/** The error that a problem's body stands for, whatever else was answered. */
export function errorOf(status: number, body: unknown, retryAfter: string | null = null): FailoverError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Problem;
  const Kind = (problem.code && CLASSES[problem.code]) || FailoverError;
  const seconds = Number(retryAfter ?? Number.NaN);
  return new Kind(status, problem, Number.isFinite(seconds) ? seconds : null);
}

/** Nobody answered: no connection, or not in time. Whether the call took effect is unknown. `cause` says more. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** Why a task's `signal` was aborted: this agent has lost the task, or should give it up. */
export class TaskRevokedError extends Error {
  override readonly name = "TaskRevokedError";
  /** As the coordinator said, or `out_of_touch`, or `stopping`. */
  readonly reason: string;

  constructor(reason: string) {
    super(`the task is no longer this agent's: ${reason}`);
    this.reason = reason;
  }
}

/** Why a lock's `signal` was aborted, and what `withLock` rejects with then: the lock may be another's by now. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
}
