/**
 * What a channel is: it takes one notice and says whether it arrived. Which notices are worth
 * sending, and when to try again, is decided before and after it. A channel that is not set up
 * fails for good and says what to set.
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
  /** `note`: what an operator should know although it arrived, such as a refused recipient. */
  | { readonly isDelivered: true; readonly note: string | null }
  | {
      readonly isDelivered: false;
      /** For operators: one sentence without secrets. */
      readonly error: string;
      /** Trying again cannot help. */
      readonly isPermanent: boolean;
      /** How long the receiver asked us to wait, or null. */
      readonly retryAfterMs: number | null;
      /** The receiver wants nothing any more (410). */
      readonly isGone: boolean;
    };

/** What channels ask of their host. */
export type ChannelTools = {
  /** With every secret filled in. */
  readonly config: NotificationConfig;
  readonly transports: Transports;
  readonly log: {
    line(level: "info" | "warn" | "error", event: string, fields: Record<string, unknown>): void;
  };
  /** Puts a message into the boxes of active agents: of these groups, or of all (null). */
  readonly tellAgents: (groups: readonly string[] | null, content: Record<string, unknown>) => void;
  readonly nowMs: number;
  /** Whether http and local addresses may be reached (`ALLOW_LOCAL_TARGETS`). */
  readonly allowLocalTargets: boolean;
  /** Our own address, `https://host`, or null if it is not known: nothing is sent there. */
  readonly publicUrl: string | null;
};

export type Channel = {
  readonly name: ChannelName;
  deliver(notice: NotificationMessage, tools: ChannelTools): Promise<Delivery>;
};

export const DELIVERED: Delivery = { isDelivered: true, note: null };

export function failed(
  error: string,
  more: Partial<Extract<Delivery, { isDelivered: false }>> = {},
): Delivery {
  return { isDelivered: false, error, isPermanent: false, retryAfterMs: null, isGone: false, ...more };
}
