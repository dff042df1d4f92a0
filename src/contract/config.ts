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
      description: "What happens to the tasks of an agent that failed, and who takes them.",
    }),
    failure_notification: FailureNotificationConfig.prefault({}).meta({
      description: "Which failures are told, and where.",
    }),
    email_notification: EmailNotificationConfig.prefault({}).meta({
      description: "Mail, used when `notification_types` lists `email`.",
    }),
    webhook_notification: WebhookNotificationConfig.prefault({}).meta({
      description: "The webhook, used when `notification_types` lists `webhook`.",
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
