/** What became of a mail, from what the other side answered. */

import { DELIVERED, type Delivery, failed } from "../channel.ts";
import type { HttpOutcome, MailOutcome } from "../transports.ts";
import { counted, listed, printable } from "../wording.ts";

/** Enough for a provider's own sentence. */
const MAX_ANSWER_CHARACTERS = 200;
const MAX_REASON_CHARACTERS = 500;

/**
 * Answers that change without a change of the mail: a wrong key or an unproven sender is mended
 * by an operator, and 409 means that a try before is still at work on this very mail.
 */
const RETRIED_STATUSES: ReadonlySet<number> = new Set([401, 403, 408, 409, 425, 429]);

const HINTS: Readonly<Record<number, string>> = {
  401: " (is `email_notification.api_key` right?)",
  403: " (may this `email_notification.api_key` send, and for this sender?)",
};

/** @param retryAfterMs how long the provider asked us to wait, or null */
export function deliveryByApi(
  provider: string,
  outcome: HttpOutcome,
  retryAfterMs: number | null,
  refused: readonly string[],
): Delivery {
  if (!outcome.isAnswered) {
    return failed(`${provider} did not answer: ${printable(outcome.reason, MAX_REASON_CHARACTERS)}`);
  }
  const { status, bodyStart } = outcome;
  if (status >= 200 && status < 300) return deliveredBut(refused);
  const answer = printable(bodyStart, MAX_ANSWER_CHARACTERS);
  return failed(`${provider} answered ${status}${HINTS[status] ?? ""}${answer === "" ? "" : `: ${answer}`}`, {
    isPermanent: status < 500 && !RETRIED_STATUSES.has(status),
    retryAfterMs,
  });
}

/** @param via whom the mail was given to */
export function deliveryByMail(via: string, outcome: MailOutcome): Delivery {
  if (outcome.isAccepted) return deliveredBut(outcome.refused);
  return failed(`${via}: ${printable(outcome.reason, MAX_REASON_CHARACTERS)}`, {
    isPermanent: outcome.isPermanent,
  });
}

function deliveredBut(refused: readonly string[]): Delivery {
  if (refused.length === 0) return DELIVERED;
  return {
    isDelivered: true,
    note: `${counted(refused.length, "recipient")} refused: ${listed(refused)}`,
  };
}
