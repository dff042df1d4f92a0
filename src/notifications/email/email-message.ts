/** The mail that tells of a notice: its body, from whom, and to whom. */
import { EmailNotificationConfig } from "../../contract/config/notification.ts";
import type { NotificationMessage } from "../notification-message.ts";
import type { Mail } from "../transports.ts";
import { mailBody } from "./body.ts";

export function mailOf(
  notice: NotificationMessage,
  config: EmailNotificationConfig,
): { ok: true; mail: Mail } | { ok: false; error: string } {
  const to = distinct(config.recipients);
  if (to.length === 0) {
    return { ok: false, error: "no mail is sent: list who gets it in `email_notification.recipients`" };
  }
  const from = senderOf(config);
  if (from === null) {
    return { ok: false, error: "no mail is sent: set `email_notification.from` to the sender's address" };
  }
  return { ok: true, mail: { from, to, ...mailBody(notice) } };
}

function senderOf({ from, username }: EmailNotificationConfig): string | null {
  const sender = from === "" ? username : from;
  // By the same rule as the key itself: whatever else signs in, an API token say, sends no mail.
  return sender !== "" && EmailNotificationConfig.shape.from.safeParse(sender).success ? sender : null;
}

/** SendGrid refuses a mail that names a recipient twice. */
function distinct(addresses: readonly string[]): string[] {
  return [...new Map(addresses.map((address) => [address.toLowerCase(), address])).values()];
}
