/**
 * A channel makes one attempt to deliver one message and returns the outcome. Which messages are sent and when a failed
 * one is tried again is decided elsewhere. A channel that is not configured fails for ever and says what to set.
 */
import type { Config } from "../contract/config.ts";
import type { ChannelName } from "../contract/notification.ts";
import type { NotificationMessage } from "./notification-message.ts";
import type { Transports } from "./transports.ts";

export type NotificationConfig = Pick<
  Config,
  "failure_notification" | "email_notification" | "webhook_notification"
>;

export type Delivery =
  /** `note`: what an operator should know although the message was delivered, such as a refused recipient. */
  | { readonly isDelivered: true; readonly note: string | null }
  | {
      readonly isDelivered: false;
      /** For operators: one sentence without secrets. */
      readonly error: string;
      /** Another attempt cannot succeed. */
      readonly isPermanent: boolean;
      /** How long the receiver asks us to wait, or null. */
      readonly retryAfterMs: number | null;
      /** The receiver no longer exists (410 Gone). */
      readonly isGone: boolean;
    };

/** A message to the mailboxes of active agents: of these groups, or of all (null). */
export type AgentBroadcast = {
  readonly groups: readonly string[] | null;
  readonly content: Record<string, unknown>;
};

/** What a channel may use. */
export type ChannelTools = {
  /** With every secret filled in. */
  readonly config: NotificationConfig;
  readonly transports: Transports;
  readonly log: {
    line(level: "info" | "warn" | "error", event: string, fields: Record<string, unknown>): void;
  };
  readonly broadcast: (broadcast: AgentBroadcast) => void;
  readonly nowMs: number;
  /** Whether http and local addresses may be reached (`ALLOW_LOCAL_TARGETS`). */
  readonly allowLocalTargets: boolean;
  /** The address of this deployment, to which nothing is sent; null if it is not known. */
  readonly publicUrl: string | null;
};

export type Channel = {
  readonly name: ChannelName;
  deliver(message: NotificationMessage, tools: ChannelTools): Promise<Delivery>;
};

export const DELIVERED: Delivery = { isDelivered: true, note: null };

export function failed(
  error: string,
  more: Partial<Extract<Delivery, { isDelivered: false }>> = {},
): Delivery {
  return { isDelivered: false, error, isPermanent: false, retryAfterMs: null, isGone: false, ...more };
}
