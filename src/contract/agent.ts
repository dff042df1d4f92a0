/** Agents on the wire: registration, heartbeats, drains, reports of failures, and the agent that reads return. */
import * as z from "zod";
import { Id, Instant, JsonValue, Labels, LongName, Name, pageOf, Text } from "./common.ts";

export const AGENT_STATUSES = ["active", "suspect", "draining", "inactive"] as const;
export const AgentStatus = z.enum(AGENT_STATUSES);
export type AgentStatus = z.infer<typeof AgentStatus>;

/** Bounds of both heartbeat settings, in seconds. */
const HeartbeatSeconds = z.number().min(0.1).max(86_400);

export const DrainMode = z.enum(["move", "finish"]);
export type DrainMode = z.infer<typeof DrainMode>;

export const Load = z.strictObject({
  cpu: z.number().min(0).max(1),
  memory: z.number().min(0).max(1),
});
export type Load = z.infer<typeof Load>;

export const RunningTask = z.strictObject({ task_id: Id, attempt: z.int().min(1) });
export type RunningTask = z.infer<typeof RunningTask>;

/** Why an incarnation has ended. After `failed`, `expired` and `restored` the agent registers again. */
export const SESSION_END_REASONS = [
  "superseded",
  "failed",
  "unregistered",
  "revoked",
  "expired",
  "restored",
] as const;
export const SessionEndReason = z.enum(SESSION_END_REASONS);
export type SessionEndReason = z.infer<typeof SessionEndReason>;

function hasNoSignIn(address: string): boolean {
  if (!URL.canParse(address)) return true;
  const { username, password } = new URL(address);
  return username === "" && password === "";
}

export const Registration = z
  .strictObject({
    type: Name.meta({ description: "The kind of agent, for people and filters." }),
    capabilities: z.array(Name).max(256).meta({ description: "The task types that the agent can do." }),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .refine(hasNoSignIn, { message: "must not contain a user name or password: every reader sees it" })
      .optional(),
    max_concurrent_tasks: z.int().min(1).max(10_000).default(10),
    heartbeat_interval_seconds: HeartbeatSeconds.optional(),
    heartbeat_timeout_seconds: HeartbeatSeconds.optional(),
    labels: Labels.default({}),
    running_tasks: z.array(RunningTask).max(10_000).default([]).meta({
      description:
        "Tasks that this process is still working on. They stay with the agent under the same attempt.",
    }),
    instance: LongName.optional().meta({
      description: "The process of the agent, `HOST/PID/RANDOM`: the same in every registration of it.",
    }),
  })
  .meta({ id: "Registration" });
export type Registration = z.infer<typeof Registration>;

/** Longest time until a drain reassigns the tasks that the agent still runs: 30 days. */
const DRAIN_LIMIT_SECONDS = 2_592_000;

export const DrainRequest = z
  .strictObject({
    mode: DrainMode.default("finish").meta({
      description: "`finish`: the agent may finish the tasks that it runs. `move`: these are reassigned too.",
    }),
    deadline_seconds: z.number().min(0).max(DRAIN_LIMIT_SECONDS).optional().meta({
      description:
        "After this time the tasks that the agent still runs are reassigned. Default: at once for `move`, never for `finish`.",
    }),
  })
  .meta({ id: "DrainRequest" });
export type DrainRequest = z.infer<typeof DrainRequest>;

export const Drain = z.object({
  mode: DrainMode,
  by: z.enum(["agent", "operator"]).meta({
    description: "A drain by an operator stays after a new registration; a drain by the agent ends then.",
  }),
  deadline_at: Instant.nullable(),
});

export const Agent = z
  .object({
    id: Id,
    group: Id,
    type: Name,
    capabilities: z.array(Name),
    endpoint: z.string().nullable(),
    labels: Labels,
    max_concurrent_tasks: z.int(),
    heartbeat_interval_seconds: z.number(),
    heartbeat_timeout_seconds: z.number(),
    status: AgentStatus,
    drain: Drain.nullable().meta({ description: "Set while the agent drains and gets no new tasks." }),
    incarnation: z.int(),
    registered_at: Instant,
    last_heartbeat_at: Instant.nullable(),
    deadline_at: Instant.nullable(),
    task_count: z.int().meta({ description: "Tasks that the agent holds: assigned and running." }),
    load: Load.nullable(),
    reliability: z.number().min(0).max(1),
    reliability_samples: z.number().min(0).meta({
      description:
        "The weight of the observations behind `reliability`: completed and failed tasks and failures of the agent. Old ones count less.",
    }),
    cooldown_until: Instant.nullable(),
    failure_count: z.int(),
    tasks_completed: z.int(),
    tasks_failed: z.int(),
    mean_task_seconds: z.number().nullable(),
  })
  .meta({ id: "Agent" });
export type Agent = z.infer<typeof Agent>;

export const RegistrationAnswer = z.object({
  agent: Agent,
  incarnation: z.int(),
  token: z.string(),
  heartbeat_interval_seconds: z.number(),
  heartbeat_timeout_seconds: z.number(),
  websocket_url: z.string(),
});

export const Heartbeat = z.strictObject({ load: Load.optional() }).meta({ id: "Heartbeat" });
export type Heartbeat = z.infer<typeof Heartbeat>;

export const HeartbeatAnswer = z
  .object({
    status: AgentStatus,
    deadline_at: Instant,
    assigned_tasks: z.int().meta({ description: "A hint: assigned tasks that the agent has not started." }),
    unread_messages: z.int().meta({ description: "Unread messages in the mailbox of the agent." }),
    tasks_changed: z
      .boolean()
      .meta({ description: "A hint: the list of tasks changed after the agent last read it." }),
  })
  .meta({ id: "HeartbeatAnswer" });
export type HeartbeatAnswer = z.infer<typeof HeartbeatAnswer>;

export const HEARTBEATS_LIMIT = 1000;

export const HeartbeatBatch = z
  .strictObject({
    agents: z
      .array(z.strictObject({ id: Id, incarnation: z.int().min(1), load: Load.optional() }))
      .min(1)
      .max(HEARTBEATS_LIMIT),
  })
  .meta({ id: "HeartbeatBatch" });
export type HeartbeatBatch = z.infer<typeof HeartbeatBatch>;

/** The liveness of an agent. Its group is the authority on it. */
export type AgentLiveness = {
  agent_id: string;
  incarnation: number;
  last_heartbeat_at: string;
  deadline_at: string;
  load: Load | null;
};

/** Characters of the details of a failure: lists of failures contain them in full. */
const DETAILS_LIMIT = 8192;

export const FailureReport = z
  .strictObject({
    failure_type: Name,
    incarnation: z.int().min(1).optional(),
    message: Text.optional(),
    details: z
      .record(Name, JsonValue)
      .refine((details) => JSON.stringify(details).length <= DETAILS_LIMIT, {
        message: `at most ${DETAILS_LIMIT} characters of JSON`,
      })
      .optional(),
  })
  .meta({ id: "FailureReport" });
export type FailureReport = z.infer<typeof FailureReport>;

export const AgentFilter = z.strictObject({
  status: AgentStatus.optional(),
  group: Id.optional(),
  capability: Name.optional(),
  type: Name.optional(),
});
export type AgentFilter = z.infer<typeof AgentFilter>;

export const AgentPage = pageOf(Agent);
