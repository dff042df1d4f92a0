/** Whether a mail was delivered, from the answer of the provider or server. */
import { DELIVERED, type Delivery, failed } from "../channel.ts";
import { counted, listed, printable } from "../text.ts";
import type { HttpOutcome, MailOutcome } from "../transports.ts";

/** Enough for one sentence of a provider. */
const MAX_ANSWER_CHARACTERS = 200;
const MAX_REASON_CHARACTERS = 500;

/**
 * Statuses after which the same mail may succeed: an operator can replace a wrong key or verify a sender, and 409 means
 * that an earlier attempt with this mail has not ended.
 */
const RETRIED_STATUSES: ReadonlySet<number> = new Set([401, 403, 408, 409, 425, 429]);

const HINTS: Readonly<Record<number, string>> = {
  401: " (is `email_notification.api_key` right?)",
  403: " (may this `email_notification.api_key` send, and for this sender?)",
};

/**
 * @property retryAfterMs how long the provider asks us to wait, or null
 * @property refused recipients that the provider does not deliver to
 */
export type ApiAnswer = {
  outcome: HttpOutcome;
  retryAfterMs: number | null;
  refused: readonly string[];
};

export function deliveryByApi(provider: string, { outcome, retryAfterMs, refused }: ApiAnswer): Delivery {
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

/** @param via the server or binding that took the mail */
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
