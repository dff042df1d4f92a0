/** A shape that a webhook's body can have. */
import type { WebhookNotificationConfig } from "../../contract/config/notification.ts";
import type { NotificationMessage } from "../notification-message.ts";

export type Preset = {
  /** Where it goes when no address is set, or null if one must be. */
  readonly defaultUrl: string | null;
  /** What else must be set for this shape, or null if nothing is missing. */
  readonly missing: (config: WebhookNotificationConfig) => string | null;
  /** What is sent, a request each, in this order. */
  readonly bodies: (notice: NotificationMessage, config: WebhookNotificationConfig) => readonly object[];
};
