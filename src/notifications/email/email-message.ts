/** A message as a mail: sender, recipients, subject, and the same content as plain text and as HTML. */
import { EmailNotificationConfig } from "../../contract/config/notification.ts";
import type { NotificationMessage } from "../notification-message.ts";
import type { Mail } from "../transports.ts";
import { emailContentOf } from "./email-content.ts";
import { htmlPage } from "./html-body.ts";
import { subjectOf } from "./subject.ts";
import { plainText } from "./text-body.ts";

export function mailOf(
  message: NotificationMessage,
  config: EmailNotificationConfig,
): { ok: true; mail: Mail } | { ok: false; error: string } {
  const to = distinct(config.recipients);
  if (to.length === 0) {
    return {
      ok: false,
      error: "no mail is sent: `email_notification.recipients` is empty; list the addresses that get it",
    };
  }
  const from = senderOf(config);
  if (from === null) {
    return { ok: false, error: "no mail is sent: set `email_notification.from` to the sender's address" };
  }
  return { ok: true, mail: { from, to, ...mailBody(message) } };
}

/** The same message gives the same mail: a provider that knows the id compares the content of two attempts. */
export function mailBody(message: NotificationMessage): Pick<Mail, "subject" | "text" | "html"> {
  const subject = subjectOf(message);
  const content = emailContentOf(message);
  return { subject, text: plainText(content), html: htmlPage(subject, content) };
}

function senderOf({ from, username }: EmailNotificationConfig): string | null {
  const sender = from === "" ? username : from;
  // A user name that is no address, such as an API token, cannot be the sender.
  return sender !== "" && EmailNotificationConfig.shape.from.safeParse(sender).success ? sender : null;
}

/** Without duplicates: SendGrid refuses a mail that names a recipient twice. */
function distinct(addresses: readonly string[]): string[] {
  return [...new Map(addresses.map((address) => [address.toLowerCase(), address])).values()];
}
