/** The delivery log on the wire: one item for each notification and channel. */
import * as z from "zod";
import { Instant, pageOf } from "./common.ts";
import { Severity } from "./failure.ts";
import { IncidentStatus } from "./incident.ts";

export const CHANNEL_NAMES = ["log", "email", "webhook", "system"] as const;
export const ChannelName = z.enum(CHANNEL_NAMES);
export type ChannelName = z.infer<typeof ChannelName>;

/** Attempts in an item; `try_count` includes older ones. */
export const TRIES_KEPT = 25;

/**
 * `pending`: waits for its first or next attempt. `delivered`. `dead`: no more attempts; it can be redelivered.
 * `superseded`: a newer notification with the same content replaced it before it was delivered.
 */
export const NOTIFICATION_STATES = ["pending", "delivered", "dead", "superseded"] as const;
export const NotificationState = z.enum(NOTIFICATION_STATES);
export type NotificationState = z.infer<typeof NotificationState>;

export const NotificationKind = z.enum(["incident", "digest", "test"]);
export type NotificationKind = z.infer<typeof NotificationKind>;

export const NotificationTry = z.object({
  at: Instant,
  outcome: z.enum(["delivered", "failed"]),
  duration_seconds: z.number(),
  error: z.string().nullable(),
  next_try_at: Instant.nullable(),
});
export type NotificationTry = z.infer<typeof NotificationTry>;

export const Notification = z
  .object({
    id: z.string().meta({ description: "The same in all attempts; the header `webhook-id` of a webhook." }),
    at: Instant,
    channel: ChannelName,
    kind: NotificationKind,
    status: IncidentStatus,
    severity: Severity,
    subject: z.string(),
    dedup_keys: z.array(z.string()).meta({ description: "The incidents that the notification is about." }),
    state: NotificationState,
    try_count: z.int().min(0),
    tries: z
      .array(NotificationTry)
      .max(TRIES_KEPT)
      .meta({ description: "The latest attempts, the oldest first." }),
    next_try_at: Instant.nullable(),
    last_error: z.string().nullable(),
  })
  .meta({ id: "Notification" });
export type Notification = z.infer<typeof Notification>;

export const NotificationFilter = z.strictObject({
  state: NotificationState.optional(),
  channel: ChannelName.optional(),
  dedup_key: z.string().max(256).optional(),
  failure_id: z.string().max(64).optional().meta({ description: "Only notifications about this failure." }),
});
export type NotificationFilter = z.infer<typeof NotificationFilter>;

export const NotificationPage = pageOf(Notification);
export const NotificationAnswer = z.object({ notification: Notification });

/** The outcome of a test notification on one channel. */
export const NotificationTestResult = z.object({
  channel: ChannelName,
  delivered: z.boolean(),
  error: z.string().nullable(),
  duration_seconds: z.number(),
  notification_id: z.string(),
});
export type NotificationTestResult = z.infer<typeof NotificationTestResult>;
export const NotificationTestAnswer = z.object({ results: z.array(NotificationTestResult) });
