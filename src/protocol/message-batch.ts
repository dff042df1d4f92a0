/** How outbox messages travel between two objects: in batches of one stream, each answered by a receipt. */
import type { OutboxMessage } from "./messages.ts";

/** Receivers of messages within one cluster. Ids hold no `/`, so no two receivers share a name. */
export type Address = "coordinator" | "notifier" | `group/${string}`;

/** Consecutive messages of one stream, in order. */
export type MessageBatch = { stream: string; messages: { number: number; message: OutboxMessage }[] };

/** The number of the last message that the receiver has processed, and the messages that it will never accept. */
export type Receipt = { through: number; refused: { number: number; reason: string }[] };
