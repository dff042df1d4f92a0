/** Tasks on the wire: submission, reports of the holders, and the task that reads return. */
import * as z from "zod";
import { Id, Instant, JsonValue, Labels, MAX_BACKUPS, Name, pageOf } from "./common.ts";
import { Decision } from "./placement/decision.ts";

/** Time-outs of tasks, up to 30 days. */
export const TimeoutSeconds = z.number().min(0.1).max(2_592_000);

export const TASK_STATUSES = ["pending", "assigned", "running", "completed", "failed", "cancelled"] as const;
export const TaskStatus = z.enum(TASK_STATUSES);
export type TaskStatus = z.infer<typeof TaskStatus>;

/**
 * Why a task is pending. `no_agent`: no agent is live. `no_capability`: no live agent can do the type. `at_capacity`: the
 * agents that can take it have no free slot. `retry_backoff`: its last attempt failed, and the next one waits until
 * `pending_until`. `excluded`: each agent that can do the type is in another group, lacks a label, drains or is suspect.
 */
export const PENDING_CODES = [
  "no_agent",
  "no_capability",
  "at_capacity",
  "retry_backoff",
  "excluded",
] as const;
export const PendingCode = z.enum(PENDING_CODES);
export type PendingCode = z.infer<typeof PendingCode>;

export const LATE_RESULT_POLICIES = ["keep", "accept_if_unfinished", "reject"] as const;
export const LateResultPolicy = z.enum(LATE_RESULT_POLICIES);
export type LateResultPolicy = z.infer<typeof LateResultPolicy>;

export const BackupList = z
  .array(Id)
  .max(MAX_BACKUPS)
  .refine((ids) => new Set(ids).size === ids.length, { message: "must not list an agent twice" });

export const TaskSubmission = z
  .strictObject({
    id: Id.optional().meta({
      description: "Also the idempotency key of the submission. Default: a random id.",
    }),
    type: Name.meta({ description: "The capability that an agent needs for the task." }),
    priority: z.int().min(0).max(10).default(5).meta({ description: "A greater number is more urgent." }),
    data: JsonValue.optional(),
    timeout_seconds: TimeoutSeconds.optional().meta({ description: "Counted from the start of the task." }),
    progress_timeout_seconds: TimeoutSeconds.optional().meta({
      description: "Counted from the start or the last progress.",
    }),
    start_timeout_seconds: TimeoutSeconds.optional().meta({ description: "Counted from the assignment." }),
    late_result_policy: LateResultPolicy.optional().meta({
      description:
        "For a result whose attempt is no longer current. `keep`: stored, an operator may accept it. `accept_if_unfinished`: completes the task if it is not finished. `reject`: dropped.",
    }),
    group: Id.optional().meta({ description: "Only agents of this group may take the task." }),
    required_labels: Labels.optional(),
    backups: BackupList.optional().meta({ description: "Agents that failover tries, in this order." }),
  })
  .meta({ id: "TaskSubmission" });
export type TaskSubmission = z.infer<typeof TaskSubmission>;

export const TaskError = z.strictObject({
  message: z.string().max(8192),
  retryable: z.boolean().default(true),
});
export type TaskError = z.infer<typeof TaskError>;

export const Task = z
  .object({
    id: Id,
    type: Name,
    priority: z.int(),
    data: JsonValue,
    status: TaskStatus,
    assigned_to: Id.nullable(),
    attempt: z.int().meta({
      description: "Grows by one at each assignment. A completed task has the attempt that completed it.",
    }),
    reassignment_count: z.int(),
    previous_agents: z.array(Id),
    backups: z.array(Id).meta({
      description: "In order. The read of a single task shows the agents that failover would try now.",
    }),
    group: Id.nullable(),
    required_labels: Labels,
    timeout_seconds: z.number().nullable(),
    progress_timeout_seconds: z.number().nullable(),
    start_timeout_seconds: z.number().nullable(),
    late_result_policy: LateResultPolicy,
    progress: z.number().min(0).max(1).nullable(),
    progress_at: Instant.nullable().meta({ description: "The last report of progress, or the start." }),
    result: JsonValue,
    error: z.object({ message: z.string(), retryable: z.boolean() }).nullable(),
    late_results: z.int().meta({ description: "Number of late results that are kept." }),
    pending_reason: z.string().nullable().meta({ description: "Why it waits, as of this answer." }),
    pending_code: PendingCode.nullable(),
    pending_until: Instant.nullable().meta({ description: "The end of a `retry_backoff`." }),
    created_at: Instant,
    assigned_at: Instant.nullable(),
    started_at: Instant.nullable(),
    finished_at: Instant.nullable(),
    deadline_at: Instant.nullable(),
  })
  .meta({ id: "Task" });
export type Task = z.infer<typeof Task>;

/** A task without `data` and `result`: both may be large, and the holder has them. */
export const TaskState = Task.omit({ data: true, result: true }).meta({ id: "TaskState" });
export type TaskState = z.infer<typeof TaskState>;

export const BATCH_LIMIT = 1000;

/** Items are checked one by one, so that one bad task does not refuse the others. */
export const TaskBatch = z
  .strictObject({ tasks: z.array(z.unknown()).min(1).max(BATCH_LIMIT) })
  .meta({ id: "TaskBatch" });

/** The agent that reports, and the attempt that it reports on. */
const Holder = { agent_id: Id, attempt: z.int().min(1) };

export const TaskStart = z.strictObject(Holder).meta({ id: "TaskStart" });
export type TaskStart = z.infer<typeof TaskStart>;

export const TaskProgress = z
  .strictObject({ ...Holder, progress: z.number().min(0).max(1) })
  .meta({ id: "TaskProgress" });
export type TaskProgress = z.infer<typeof TaskProgress>;

export const TaskCompletion = z
  .strictObject({ ...Holder, result: JsonValue.optional() })
  .meta({ id: "TaskCompletion" });
export type TaskCompletion = z.infer<typeof TaskCompletion>;

export const TaskFailure = z.strictObject({ ...Holder, error: TaskError }).meta({ id: "TaskFailure" });
export type TaskFailure = z.infer<typeof TaskFailure>;

export const TaskResult = z
  .strictObject({ task_id: Id, ...Holder, result: JsonValue.optional(), error: TaskError.optional() })
  .refine((item) => item.result === undefined || item.error === undefined, {
    message: "must have `result` or `error`, not both",
  })
  .meta({ id: "TaskResult" });
export type TaskResult = z.infer<typeof TaskResult>;

export const ResultBatch = z
  .strictObject({ results: z.array(TaskResult).min(1).max(BATCH_LIMIT) })
  .meta({ id: "ResultBatch" });

export const BackupAssignment = z.strictObject({ backups: BackupList }).meta({ id: "BackupAssignment" });

export const TaskFilter = z.strictObject({
  status: TaskStatus.optional(),
  assigned_to: Id.optional(),
  type: Name.optional(),
});
export type TaskFilter = z.infer<typeof TaskFilter>;

export const LateResult = z
  .object({ attempt: z.int(), agent_id: Id, result: JsonValue, received_at: Instant })
  .meta({ id: "LateResult" });
export type LateResult = z.infer<typeof LateResult>;
export const LateResultPage = pageOf(LateResult);

export const TaskAnswer = z.object({ task: Task });
export const Placement = z.object({ task: Task, decision: Decision.nullable() });
export type Placement = z.infer<typeof Placement>;
export const TaskPage = pageOf(Task);
