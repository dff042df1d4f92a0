/**
 * The frames that an agent and the server send over a socket: JSON with a `type`, and the text frames `ping` and
 * `pong`, which the platform answers without waking the object.
 */
import * as z from "zod";
import { DrainMode, Load, SessionEndReason } from "./agent.ts";
import { Id, Instant, JsonValue, ResourceId } from "./common.ts";
import { Lock, LockTtlSeconds, LockWaitSeconds } from "./lock.ts";
import { AgentMessage } from "./message.ts";
import { ErrorCode, FieldError } from "./problem.ts";
import { Task, TaskError, TaskState } from "./task.ts";

export const SUBPROTOCOL = "failover.v1";

/** Prefix of the token in the subprotocols of a client that cannot set headers. */
export const BEARER_SUBPROTOCOL = "bearer.";

/** Longest frame of an agent in UTF-16 units, the same as a body over HTTP. */
export const FRAME_LIMIT_CHARACTERS = 262_144;

/** Longest batch, the same as a batch over HTTP. */
export const BATCH_FRAME_LIMIT_CHARACTERS = 8_388_608;
export const BATCH_FRAMES_LIMIT = 1000;

/** Why the server closes a socket. RFC 6455 leaves codes from 4000 on to the application. */
export const CLOSE_CODES = {
  /** A newer connection of the same incarnation replaced this one. */
  replaced: 4000,
  /** The incarnation has ended: register again. */
  session_expired: 4410,
  /** The agent sent too many frames at once. */
  policy: 1008,
  /** The server sent a lot and cannot see whether the agent read it: the agent connects again. */
  renewed: 4001,
} as const;

const RequestId = z.string().min(1).max(64);
const request = { request_id: RequestId };
const report = { ...request, task_id: Id, attempt: z.int().min(1) };

export const TaskStartFrame = z.strictObject({ type: z.literal("task_start"), ...report });
export const TaskProgressFrame = z.strictObject({
  type: z.literal("task_progress"),
  ...report,
  progress: z.number().min(0).max(1),
});
export const TaskCompleteFrame = z.strictObject({
  type: z.literal("task_complete"),
  ...report,
  result: JsonValue.optional(),
});
export const TaskFailFrame = z.strictObject({ type: z.literal("task_fail"), ...report, error: TaskError });
export const LockAcquireFrame = z.strictObject({
  type: z.literal("lock_acquire"),
  ...request,
  resource: ResourceId,
  ttl_seconds: LockTtlSeconds.optional(),
  wait_seconds: LockWaitSeconds.optional(),
});
export const LockRenewFrame = z.strictObject({
  type: z.literal("lock_renew"),
  ...request,
  resource: ResourceId,
  fencing_token: z.int().min(1),
});
export const LockReleaseFrame = z.strictObject({
  type: z.literal("lock_release"),
  ...request,
  resource: ResourceId,
  fencing_token: z.int().min(1),
});
export const MessageAckFrame = z.strictObject({ type: z.literal("message_ack"), ...request, message_id: Id });
/** A `ping` is a sign of life too and costs less. This frame also reports the load. */
export const HeartbeatFrame = z.strictObject({
  type: z.literal("heartbeat"),
  ...request,
  load: Load.optional(),
});

/** One request of an agent, answered by one `ack` or `error` with its `request_id`. */
export const AgentFrame = z
  .discriminatedUnion("type", [
    TaskStartFrame,
    TaskProgressFrame,
    TaskCompleteFrame,
    TaskFailFrame,
    LockAcquireFrame,
    LockRenewFrame,
    LockReleaseFrame,
    MessageAckFrame,
    HeartbeatFrame,
  ])
  .meta({ id: "AgentFrame" });
export type AgentFrame = z.infer<typeof AgentFrame>;

/** Each frame in the batch is checked and answered on its own. */
export const BatchFrame = z.strictObject({
  type: z.literal("batch"),
  frames: z.array(z.unknown()).min(1).max(BATCH_FRAMES_LIMIT),
});

export const REVOCATION_REASONS = [
  "cancelled",
  "timed_out",
  "agent_drained",
  "agent_suspect",
  "reassigned",
  "late_result_accepted",
] as const;
export const RevocationReason = z.enum(REVOCATION_REASONS);
export type RevocationReason = z.infer<typeof RevocationReason>;

export const TaskAssignedFrame = z.object({ type: z.literal("task_assigned"), task: Task });
export const TaskRevokedFrame = z.object({
  type: z.literal("task_revoked"),
  task_id: Id,
  attempt: z.int(),
  reason: RevocationReason,
});
export const MessageFrame = z.object({ type: z.literal("message"), message: AgentMessage });
/** Follows the `ack` of a `lock_acquire` that was queued. */
export const LockGrantedFrame = z.object({ type: z.literal("lock_granted"), ...request, lock: Lock });
/** `mode` null: the agent gets tasks again. */
export const DrainFrame = z.object({
  type: z.literal("drain"),
  mode: DrainMode.nullable(),
  deadline_at: Instant.nullable(),
});
/** `superseded_by`: the `instance` of the process that has replaced this one, if that is the reason. */
export const SessionExpiredFrame = z.object({
  type: z.literal("session_expired"),
  reason: SessionEndReason,
  superseded_by: z.string().nullable().optional(),
});
export const AckFrame = z.object({
  type: z.literal("ack"),
  ...request,
  task: TaskState.optional(),
  lock: Lock.optional(),
  /** A `lock_acquire` was queued; a `lock_granted` or an `error` follows. */
  queued: z.literal(true).optional(),
});
export const ErrorFrame = z.looseObject({
  type: z.literal("error"),
  request_id: RequestId.nullable(),
  code: ErrorCode,
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z.array(FieldError).optional(),
});
export type ErrorFrame = z.infer<typeof ErrorFrame>;

export const ServerFrame = z
  .discriminatedUnion("type", [
    TaskAssignedFrame,
    TaskRevokedFrame,
    MessageFrame,
    LockGrantedFrame,
    DrainFrame,
    SessionExpiredFrame,
    AckFrame,
    ErrorFrame,
  ])
  .meta({ id: "ServerFrame" });
export type ServerFrame = z.infer<typeof ServerFrame>;
