/**
 * A preset shapes the body of a webhook for one kind of receiver. A new one is a file with a `Preset` and a line in
 * PRESETS of webhook.ts.
 */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import type { NotificationMessage } from "../notification-message.ts";

export type Preset = {
  /** The address to send to if none is configured; null if one must be. */
  readonly defaultUrl: string | null;
  /** What else must be configured for this preset; null if nothing is missing. */
  readonly missing: (config: WebhookNotificationConfig) => string | null;
  /** The bodies to send, one request each, in this order. */
  readonly bodies: (message: NotificationMessage, config: WebhookNotificationConfig) => readonly object[];
};
