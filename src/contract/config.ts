/**
 * The configuration: one schema with a default, bounds, a unit and a description for every key.
 * Validation, the types, OpenAPI and the table in `docs/configuration.md` all come from it.
 *
 * Metadata beside `description`: `unit` (what a number counts), `secret: true` (the value, or every value
 * of a map, never comes back out of an API) and `maxProperties` (the bound of a map).
 */
import * as z from "zod";
import { Id, MAX_BACKUPS, TimeoutSeconds } from "./common.ts";
import type { PriorityLevel } from "./decision.ts";
import { Severity } from "./failure.ts";
import { ChannelName } from "./notification.ts";
import { LateResultPolicy } from "./task.ts";

export const FAILOVER_STRATEGY_TYPES = ["failover", "backup_agent"] as const;
export const WEIGHT_FACTORS = ["reliability", "capability", "load", "performance"] as const;

/** Agents that may be named in one list or map: a group of agents that all deserve a name of their own. */
const MAX_NAMED_AGENTS = 1000;
const MAX_RECIPIENTS = 50;
const MAX_HEADERS = 32;
/** Longest host name in DNS. */
const MAX_HOST_CHARACTERS = 253;
/** Longest mail address that SMTP can carry. */
const MAX_ADDRESS_CHARACTERS = 254;
const DAY_SECONDS = 86_400;

const hasNoDuplicates = (list: readonly string[]) => new Set(list).size === list.length;

/** One line of text: a line break in it could forge a header of a mail or of a request. */
const line = (maxCharacters: number) =>
  z
    .string()
    .max(maxCharacters)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, "must not hold control characters or line breaks");

const seconds = (min: number, max: number) => z.number().min(min).max(max);

const priority = (level: z.infer<typeof PriorityLevel>, value: number, meaning: string) =>
  z
    .int()
    .min(0)
    .max(10)
    .default(value)
    .meta({ unit: "priority", description: `Lowest priority that counts as ${level}. ${meaning}` });

const MailAddress = z
  .string()
  .max(MAX_ADDRESS_CHARACTERS)
  .regex(
    /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/,
    "must be a mail address such as ops@company.org",
  );

/** What a header of a webhook may be called (RFC 9110 `token`). */
const HeaderName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "must be the name of an HTTP header");

/** What `fetch` can send as a header: bytes, no line breaks. */
const HeaderValue = z
  .string()
  .max(1024)
  .regex(/^[ -~\u00a0-\u00ff]*$/, "must be Latin-1 text without control characters");

/** A value that stands for a secret of the environment as a whole. */
const SECRET_REFERENCE = /^\$\{[A-Za-z_][A-Za-z0-9_]{0,63}\}$/;

/** How a description shows the reference to a secret of that name. */
const reference = (name: string) => `\`"\${${name}}"\``;

/** Sign-in data in an address would be shown with it, and `fetch` refuses it; headers are the place for it. */
function isWebhookUrl(value: string): boolean {
  if (value === "" || SECRET_REFERENCE.test(value)) return true;
  if (!/^https?:\/\/[^\s\p{Cc}]+$/iu.test(value) || !URL.canParse(value)) return false;
  const url = new URL(value);
  return url.username === "" && url.password === "";
}

const weight = (description: string) =>
  z.number().min(0).max(1000).default(0).meta({ unit: "weight", description });

const LevelWeights = z
  .strictObject({
    reliability: weight("Weight of the agent's reliability."),
    capability: weight("Weight of how well the agent has done the task's type."),
    load: weight("Weight of the agent's free capacity."),
    performance: weight("Weight of how fast the agent has done the task's type, against the others."),
  })
  .refine((weights) => Object.values(weights).some((value) => value > 0), {
    message: "at least one weight must be above 0",
  });
export type LevelWeights = z.infer<typeof LevelWeights>;

const levelWeights = (level: z.infer<typeof PriorityLevel>) =>
  LevelWeights.nullable()
    .default(null)
    .meta({
      description: `Weights for tasks of ${level} priority, each factor left out counting 0; null: the strategy's own.`,
    });

const BackupsOfAgent = z.union([Id, z.array(Id).max(MAX_BACKUPS).refine(hasNoDuplicates)], {
  error: `must be an agent id, or a list of at most ${MAX_BACKUPS} different agent ids`,
});

const FailoverConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether the tasks of a failed agent move. When false, failures are recorded and told, tasks stay, locks end by their TTL.",
  }),
  priority_based_reassignment: z.boolean().default(true).meta({
    description: "Whether the most urgent tasks of a failed agent move first; otherwise the oldest do.",
  }),
  preserve_task_priority: z.boolean().default(true).meta({
    description: "Whether a task keeps its priority when it moves; otherwise it loses one step at each move.",
  }),
  max_reassignment_attempts: z.int().min(0).max(100).default(3).meta({
    unit: "moves",
    description: "How often a task may move because of failures; past it the task is failed.",
  }),
  critical_agents: z.array(Id).max(MAX_NAMED_AGENTS).default([]).meta({
    description:
      "Agents whose failures are `critical` and whose tasks move first; one without a backup is a readiness warning.",
  }),
  backup_agents: z
    .record(Id, BackupsOfAgent)
    .refine((map) => Object.keys(map).length <= MAX_NAMED_AGENTS, {
      message: `must have at most ${MAX_NAMED_AGENTS} entries`,
    })
    .superRefine((map, context) => {
      for (const [agent, backups] of Object.entries(map)) {
        if (![backups].flat().includes(agent)) continue;
        context.addIssue({ code: "custom", path: [agent], message: "an agent cannot be its own backup" });
      }
    })
    .default({})
    .meta({
      maxProperties: MAX_NAMED_AGENTS,
      description: `For an agent, who takes its tasks over: one agent id, or up to ${MAX_BACKUPS} in order.`,
    }),
  use_failover_strategy: z.boolean().default(true).meta({
    description:
      "Whether an advanced strategy chooses; otherwise the basic one: named backups, then capability, then least load.",
  }),
  failover_strategy_type: z.enum(FAILOVER_STRATEGY_TYPES).default("failover").meta({
    description:
      "The advanced strategy: `failover` scores by reliability, capability, load and performance; `backup_agent` gives each task its backups in advance.",
  }),
  backup_strategy_count: z.int().min(0).max(MAX_BACKUPS).default(2).meta({
    unit: "agents",
    description: "Backups that `backup_agent` keeps for each task.",
  }),
  reliability_threshold: z.number().min(0).max(1).default(0.8).meta({
    unit: "fraction",
    description:
      "Reliability below which an agent takes no high-priority task while another agent can take it. The basic strategy does not heed it.",
  }),
  task_priority_levels: z
    .strictObject({
      high: priority("high", 8, "Above `medium`."),
      medium: priority("medium", 5, "Above `low`."),
      low: priority("low", 2, "What is below counts as low too."),
    })
    .refine((levels) => levels.high > levels.medium, {
      path: ["high"],
      message: "must be above `medium`",
    })
    .refine((levels) => levels.medium > levels.low, {
      path: ["medium"],
      message: "must be above `low`",
    })
    .prefault({})
    .meta({ description: "Which priorities (0 to 10) count as high, medium and low." }),
  failure_cooldown_period: seconds(0, 7 * DAY_SECONDS)
    .default(300)
    .meta({
      unit: "seconds",
      description: "How long after its failure a returned agent is chosen only when nobody else can.",
    }),
  weights: z
    .strictObject({
      high: levelWeights("high"),
      medium: levelWeights("medium"),
      low: levelWeights("low"),
    })
    .prefault({})
    .meta({
      description:
        "Weights of the factors in a score, by the task's priority level; the basic strategy has its own.",
    }),
});

const FailureNotificationConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({ description: "Whether anybody is told of failures." }),
  notification_types: z
    .array(ChannelName)
    .max(ChannelName.options.length)
    .refine(hasNoDuplicates, { message: "a type is listed twice" })
    .default(["log", "system"])
    .meta({
      description:
        "Where failures are told: the log, mail, a webhook, the agents' message boxes and the dashboard. Only `log` has an effect yet.",
    }),
  min_severity: Severity.default("warning").meta({
    description: "Failures below this severity are not told.",
  }),
});

const EmailNotificationConfig = z.strictObject({
  recipients: z
    .array(MailAddress)
    .max(MAX_RECIPIENTS)
    .default([])
    .meta({ description: "Who gets the mail. Nobody: no mail is sent." }),
  smtp_server: z
    .string()
    .max(MAX_HOST_CHARACTERS)
    .regex(/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)?$/, "must be a host name or an IPv4 address")
    .default("")
    .meta({ description: "Host of the mail server. Empty: no mail is sent." }),
  smtp_port: z.int().min(1).max(65_535).default(587).meta({
    unit: "port",
    description: "465 speaks TLS from the first byte; others must offer STARTTLS.",
  }),
  username: line(MAX_ADDRESS_CHARACTERS)
    .default("")
    .meta({ description: "Who signs in to the mail server. Empty: nobody signs in." }),
  password: line(1024)
    .default("")
    .meta({
      secret: true,
      description: `Password of \`username\`. Name it, do not write it: ${reference("SMTP_PASSWORD")}.`,
    }),
  from: z
    .union([z.literal(""), MailAddress], { error: "must be a mail address, or empty" })
    .default("")
    .meta({
      maxLength: MAX_ADDRESS_CHARACTERS,
      description: "Sender's address. Empty: `username`, if that is an address.",
    }),
});

const WebhookNotificationConfig = z.strictObject({
  url: z
    .string()
    .max(2048)
    .refine(isWebhookUrl, {
      message: "must be an http or https address without a user name and password in it",
    })
    .default("")
    .meta({
      description: `Where failures are sent: an https address, or the name of a secret that holds one: ${reference("WEBHOOK_URL")}. Empty: nowhere.`,
    }),
  headers: z
    .record(HeaderName, HeaderValue)
    .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, {
      message: `must have at most ${MAX_HEADERS} entries`,
    })
    .refine((headers) => hasNoDuplicates(Object.keys(headers).map((name) => name.toLowerCase())), {
      message: "a header is named twice (upper and lower case are the same)",
    })
    .default({ "Content-Type": "application/json" })
    .meta({
      secret: true,
      maxProperties: MAX_HEADERS,
      description: "Headers sent along. All values but that of `Content-Type` are treated as secrets.",
    }),
  method: z.enum(["POST", "PUT", "PATCH"]).default("POST").meta({ description: "Method of the request." }),
  secret: line(512)
    .default("")
    .meta({
      secret: true,
      description: `Key that signs each request (Standard Webhooks). Name it, do not write it: ${reference("WEBHOOK_SECRET")}. Empty: unsigned.`,
    }),
});

const HeartbeatConfig = z
  .strictObject({
    interval_seconds: seconds(0.1, DAY_SECONDS).default(10).meta({
      unit: "seconds",
      description: "How often an agent gives a sign of life, unless it registers its own interval.",
    }),
    timeout_seconds: seconds(0.1, DAY_SECONDS).default(30).meta({
      unit: "seconds",
      description:
        "Silence after which an agent is declared failed, unless it registers its own. Longer than the interval.",
    }),
    reconnect_grace_seconds: seconds(0, DAY_SECONDS).default(5).meta({
      unit: "seconds",
      description:
        "How long an agent whose socket broke has to come back before it is declared failed; 0: no time. It has no effect yet: there are no sockets.",
    }),
  })
  .refine((heartbeat) => heartbeat.timeout_seconds > heartbeat.interval_seconds, {
    path: ["timeout_seconds"],
    message: "must be longer than `interval_seconds`",
  });

const LockConfig = z
  .strictObject({
    default_ttl_seconds: seconds(0.1, DAY_SECONDS).default(30).meta({
      unit: "seconds",
      description:
        "How long a lock lasts without renewal when its holder named no TTL. At most `max_ttl_seconds`.",
    }),
    max_ttl_seconds: seconds(0.1, DAY_SECONDS).default(3600).meta({
      unit: "seconds",
      description: "Longest TTL that a holder may ask for.",
    }),
    lock_delay_seconds: seconds(0, 3600).default(0).meta({
      unit: "seconds",
      description:
        "How long a lock stays closed after its holder failed or its TTL passed; after a release it never does.",
    }),
  })
  .refine((lock) => lock.default_ttl_seconds <= lock.max_ttl_seconds, {
    path: ["default_ttl_seconds"],
    message: "must be at most `max_ttl_seconds`",
  });

const taskTimeout = (description: string) =>
  TimeoutSeconds.nullable().default(null).meta({ unit: "seconds", description });

const TaskConfig = z.strictObject({
  default_timeout_seconds: taskTimeout(
    "How long a started task may take, unless it says so itself; null: any time.",
  ),
  default_progress_timeout_seconds: taskTimeout(
    "How long a started task may go without progress, unless it says so itself; null: any time.",
  ),
  default_start_timeout_seconds: taskTimeout(
    "How long an assigned task may wait to be started, unless it says so itself; null: any time.",
  ),
  late_result_policy: LateResultPolicy.default("keep").meta({
    description:
      "What becomes of a result from an attempt no longer current: `keep` it to be accepted by a call, `accept_if_unfinished`, or `reject` it. `keep` and `accept_if_unfinished` have no effect yet: every such result is rejected.",
  }),
  retention_seconds: seconds(1, 365 * DAY_SECONDS)
    .default(7 * DAY_SECONDS)
    .meta({
      unit: "seconds",
      description: "How long a finished task is kept, and its id recognised when it is submitted again.",
    }),
  priority_aging_seconds: seconds(1, 30 * DAY_SECONDS)
    .default(600)
    .meta({
      unit: "seconds",
      description: "Waiting time that lifts a pending task by one priority step, so that none starves.",
    }),
});

const SafeModeConfig = z.strictObject({
  enabled: z.boolean().default(true).meta({
    description:
      "Whether failover pauses when many agents are lost at once, since the network is then the likelier cause.",
  }),
  min_agents: z.int().min(1).max(100_000).default(5).meta({
    unit: "agents",
    description: "Agents lost within the window below which failover does not pause.",
  }),
  min_fraction: z.number().min(0.01).max(1).default(0.5).meta({
    unit: "fraction",
    description:
      "Share of the cluster's live agents, lost within the window, below which failover does not pause.",
  }),
  window_seconds: seconds(0.1, 3600).default(60).meta({
    unit: "seconds",
    description: "Time within which lost agents are counted together.",
  }),
  hold_seconds: seconds(0.1, DAY_SECONDS).default(60).meta({
    unit: "seconds",
    description: "How long the pause lasts, unless most agents are back before.",
  }),
});

/** The whole configuration. Every section and key may be left out; parsing fills in the defaults. */
export const Config = z
  .strictObject({
    failover_config: FailoverConfig.prefault({}).meta({
      description: "What happens to the tasks of an agent that failed, and who takes them.",
    }),
    failure_notification: FailureNotificationConfig.prefault({}).meta({
      description: "Which failures are told, and where.",
    }),
    email_notification: EmailNotificationConfig.prefault({}).meta({
      description: "Mail, used when `notification_types` lists `email`. None is sent yet.",
    }),
    webhook_notification: WebhookNotificationConfig.prefault({}).meta({
      description: "The webhook, used when `notification_types` lists `webhook`. It is not called yet.",
    }),
    heartbeat_config: HeartbeatConfig.prefault({}).meta({
      description: "How an agent shows that it lives, and when it is declared failed.",
    }),
    lock_config: LockConfig.prefault({}).meta({ description: "How long locks last." }),
    task_config: TaskConfig.prefault({}).meta({
      description: "What holds for tasks that do not say otherwise.",
    }),
    safe_mode_config: SafeModeConfig.prefault({}).meta({
      description:
        "The brake: when many agents vanish at once, no task moves for a while. It has no effect yet: failover goes on.",
    }),
  })
  .meta({ id: "Config", description: "The configuration of a cluster." });
export type Config = z.output<typeof Config>;
export type ConfigInput = z.input<typeof Config>;

/** What holds when nobody configured anything. A fresh object at each call. */
export const defaultConfig = (): Config => Config.parse({});

/** The schema inside its defaults, and inside the permission to be null or left out. */
export function innerSchema(schema: z.core.$ZodType): z.core.$ZodType {
  const wraps =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodOptional;
  return wraps ? innerSchema(schema.def.innerType) : schema;
}

/** What the schema says of itself: `description`, `unit`, `secret`, … */
export const metadataOf = (schema: z.core.$ZodType): Readonly<Record<string, unknown>> =>
  z.globalRegistry.get(schema) ?? {};

/** The same key as one may be sent in a change: left out, or `null` to go back to the file. */
function changeable(schema: z.core.$ZodType): z.ZodType {
  const inner = innerSchema(schema);
  const meta = metadataOf(schema);
  if (inner instanceof z.ZodObject) return changeableObject(inner).nullable().optional().meta(meta);
  if (inner instanceof z.ZodRecord) {
    return z.record(inner.keyType, z.nullable(inner.valueType)).nullable().optional().meta(meta);
  }
  return z.optional(z.nullable(inner)).meta(meta);
}

const changeableObject = (schema: z.ZodObject) =>
  z.strictObject(
    Object.fromEntries(Object.entries(schema.shape).map(([key, value]) => [key, changeable(value)])),
  );

/**
 * The body of a change: any part of `Config`, with `null` for "as in the file".
 * Rules between two keys are not checked here but on the configuration that results.
 */
export const ConfigChangeBody = changeableObject(Config).meta({
  id: "ConfigChange",
  description: "Any part of the configuration; `null` goes back to the value in the file.",
});
