/** The notifier's delivery log on the wire. */
import * as z from "zod";
import { Instant, pageOf } from "./common.ts";
import { Severity } from "./failure.ts";

export const CHANNEL_NAMES = ["log", "email", "webhook", "system"] as const;
export const ChannelName = z.enum(CHANNEL_NAMES);
export type ChannelName = z.infer<typeof ChannelName>;

export const Notification = z
  .object({
    id: z.string(),
    at: Instant,
    channel: ChannelName,
    severity: Severity,
    subject: z.string(),
    failure_id: z.string().nullable(),
    state: z.enum(["delivered", "failed"]),
    tries: z.int(),
    last_error: z.string().nullable(),
  })
  .meta({ id: "Notification" });
export type Notification = z.infer<typeof Notification>;

export const NotificationPage = pageOf(Notification);
