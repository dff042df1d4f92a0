/** The notifier's delivery log on the wire: one item a message and channel. */
import * as z from "zod";
import { Instant, pageOf } from "./common.ts";
import { Severity } from "./failure.ts";
import { IncidentStatus } from "./incident.ts";

export const CHANNEL_NAMES = ["log", "email", "webhook", "system"] as const;
export const ChannelName = z.enum(CHANNEL_NAMES);
export type ChannelName = z.infer<typeof ChannelName>;

/** Tries listed in the log; older ones are counted. */
export const TRIES_KEPT = 25;

/**
 * `pending`: waits for its first or next try. `delivered`. `dead`: given up; it can be redelivered.
 * `superseded`: before it arrived a newer message said all that it says.
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
    id: z.string().meta({ description: "The same over all tries; a webhook's `webhook-id`." }),
    at: Instant,
    channel: ChannelName,
    kind: NotificationKind,
    status: IncidentStatus,
    severity: Severity,
    subject: z.string(),
    dedup_keys: z.array(z.string()).meta({ description: "The incidents it tells of." }),
    state: NotificationState,
    try_count: z.int().min(0),
    tries: z.array(NotificationTry).max(TRIES_KEPT).meta({ description: "The latest, oldest first." }),
    next_try_at: Instant.nullable(),
    last_error: z.string().nullable(),
  })
  .meta({ id: "Notification" });
export type Notification = z.infer<typeof Notification>;

export const NotificationFilter = z.strictObject({
  state: NotificationState.optional(),
  channel: ChannelName.optional(),
  dedup_key: z.string().max(256).optional(),
  failure_id: z.string().max(64).optional().meta({ description: "Those that tell of this failure." }),
});
export type NotificationFilter = z.infer<typeof NotificationFilter>;

export const NotificationPage = pageOf(Notification);
export const NotificationAnswer = z.object({ notification: Notification });

/** What became of a test message on one channel. */
export const NotificationTestResult = z.object({
  channel: ChannelName,
  delivered: z.boolean(),
  error: z.string().nullable(),
  duration_seconds: z.number(),
  notification_id: z.string(),
});
export type NotificationTestResult = z.infer<typeof NotificationTestResult>;
export const NotificationTestAnswer = z.object({ results: z.array(NotificationTestResult) });
