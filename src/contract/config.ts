/**
 * The configuration: one schema with a default, bounds, a unit and a description for every key.
 * Validation, the types, OpenAPI and the table in `docs/configuration.md` all come from it.
 * Each section has a file of its own in `config/`.
 *
 * Metadata beside `description`: `unit` (what a number counts), `secret: true` (the value, or every value
 * of a map, never comes back out of an API) and `maxProperties` (the bound of a map).
 */
import * as z from "zod";
import { FailoverConfig } from "./config/failover.ts";
import { HeartbeatConfig } from "./config/heartbeat.ts";
import { LockConfig } from "./config/lock.ts";
import {
  EmailNotificationConfig,
  FailureNotificationConfig,
  WebhookNotificationConfig,
} from "./config/notification.ts";
import { SafeModeConfig } from "./config/safe-mode.ts";
import { TaskConfig } from "./config/task.ts";

/** The whole configuration. Every section and key may be left out; parsing fills in the defaults. */
export const Config = z
  .strictObject({
    failover_config: FailoverConfig.prefault({}).meta({
      description: "What happens to the tasks of a failed agent, and which agents take them over.",
    }),
    failure_notification: FailureNotificationConfig.prefault({}).meta({
      description: "Which failures are notified, and through which channels.",
    }),
    email_notification: EmailNotificationConfig.prefault({}).meta({
      description: "Email, used if `notification_types` lists `email`.",
    }),
    webhook_notification: WebhookNotificationConfig.prefault({}).meta({
      description: "The webhook, used if `notification_types` lists `webhook`.",
    }),
    heartbeat_config: HeartbeatConfig.prefault({}).meta({
      description: "How often agents send heartbeats, and when they are declared failed.",
    }),
    lock_config: LockConfig.prefault({}).meta({ description: "Duration of locks." }),
    task_config: TaskConfig.prefault({}).meta({
      description: "Defaults and retention of tasks.",
    }),
    safe_mode_config: SafeModeConfig.prefault({}).meta({
      description:
        "Safe mode pauses failover for a while when many agents are lost at once. This section has no effect yet: failover continues.",
    }),
  })
  .meta({ id: "Config", description: "The configuration of a cluster." });
export type Config = z.output<typeof Config>;
export type ConfigInput = z.input<typeof Config>;

export const AppliedDefaults = z
  .object({
    agents: z.int().meta({ description: "Live agents whose heartbeat timeout the change has changed." }),
    keep_own: z.int().meta({
      description: "Live agents that keep a timeout of their own, although the change has another default.",
    }),
  })
  .meta({ id: "AppliedDefaults" });
export type AppliedDefaults = z.infer<typeof AppliedDefaults>;

/** The answer to a change. `applied` is no part of the configuration and is not accepted in a change. */
export const ChangedConfig = Config.extend({ applied: AppliedDefaults }).meta({
  id: "ChangedConfig",
  description: "The configuration after a change, and how many live agents the change reached.",
});

/** The configuration if nothing is configured. A new object at each call. */
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

/** The metadata of a schema: `description`, `unit`, `secret`, … */
export const metadataOf = (schema: z.core.$ZodType): Readonly<Record<string, unknown>> =>
  z.globalRegistry.get(schema) ?? {};

/** The same key as it may be sent in a change: left out, or `null` to return to the value in the file. */
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
 * The body of a change: any part of `Config`, with `null` to return to the value in the file.
 * Rules between two keys are not checked here but on the configuration that results.
 */
export const ConfigChangeBody = changeableObject(Config).meta({
  id: "ConfigChange",
  description: "Any part of the configuration; `null` returns to the value in the file.",
});
