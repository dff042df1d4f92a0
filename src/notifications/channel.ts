/**
 * What a channel is: it takes one notice and says whether it arrived. Which notices are
 * worth sending, and when to try again, is decided before and after it.
 */
import type { Failure, Severity } from "../contract/failure.ts";
import type { ChannelName } from "../contract/notification.ts";

export type Notice = {
  readonly severity: Severity;
  /** One line for people. */
  readonly subject: string;
  /** Whether the failure was just recorded, or its failover is done and its counts are final. */
  readonly stage: "recorded" | "failed_over";
  readonly failure: Failure;
};

export type Delivery = { readonly delivered: true } | { readonly delivered: false; readonly error: string };

/** What channels ask of their host. */
export type ChannelTools = {
  readonly log: {
    line(level: "info" | "warn" | "error", event: string, fields: Record<string, unknown>): void;
  };
};

export type Channel = {
  readonly name: ChannelName;
  deliver(notice: Notice, tools: ChannelTools): Delivery;
};
