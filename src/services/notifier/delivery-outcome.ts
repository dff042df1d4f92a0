/** What the delivery log says of a message after an attempt. Pure. */
import { instant, instantOrNull } from "../../contract/instant.ts";
import { type Notification, type NotificationTry, TRIES_KEPT } from "../../contract/notification.ts";
import { retryDelayMs } from "../../domain/backoff.ts";
import type { Delivery } from "../../notifications/channel.ts";

export type EndedAttempt = {
  readonly delivery: Delivery;
  readonly startedMs: number;
  readonly endedMs: number;
};

/** @property chance spreads retries: 0 to 1, excluding 1 */
export type RetryPlan = { readonly scheduleMs: readonly number[]; readonly chance: number };

export function afterAttempt(
  before: Notification,
  { delivery, startedMs, endedMs }: EndedAttempt,
  plan: RetryPlan,
): { notification: Notification; nextTryAtMs: number | null } {
  const tryCount = before.try_count + 1;
  const delayMs = nextDelayMs(before, { delivery, tryCount }, plan);
  const nextTryAtMs = delayMs === null ? null : endedMs + Math.ceil(delayMs);
  const error = delivery.isDelivered ? delivery.note : delivery.error;
  const attempt: NotificationTry = {
    at: instant(startedMs),
    outcome: delivery.isDelivered ? "delivered" : "failed",
    duration_seconds: Math.max(0, endedMs - startedMs) / 1000,
    error,
    next_try_at: instantOrNull(nextTryAtMs),
  };
  const notification: Notification = {
    ...before,
    state: delivery.isDelivered ? "delivered" : nextTryAtMs === null ? "dead" : "pending",
    try_count: tryCount,
    tries: [...before.tries, attempt].slice(-TRIES_KEPT),
    next_try_at: attempt.next_try_at,
    last_error: error,
  };
  return { notification, nextTryAtMs };
}

/** How long until the next attempt; null if there is none. A test is sent once. */
function nextDelayMs(
  { kind }: Notification,
  { delivery, tryCount }: { delivery: Delivery; tryCount: number },
  { scheduleMs, chance }: RetryPlan,
): number | null {
  if (delivery.isDelivered || delivery.isPermanent || kind === "test") return null;
  const { retryAfterMs } = delivery;
  return retryDelayMs({ failures: tryCount, scheduleMs, retryAfterMs }, chance);
}
