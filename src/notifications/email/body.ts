/** A notice as a mail: its subject, and the same words as text and as a page. */

import type { NotificationMessage } from "../notification-message.ts";
import type { Mail } from "../transports.ts";
import { emailContentOf } from "./email-content.ts";
import { htmlPage } from "./html-body.ts";
import { subjectOf } from "./subject.ts";
import { plainText } from "./text-body.ts";

/** The same notice gives the same mail: a provider that knows its id compares the two. */
export function mailBody(notice: NotificationMessage): Pick<Mail, "subject" | "text" | "html"> {
  const subject = subjectOf(notice);
  const letter = emailContentOf(notice);
  return { subject, text: plainText(letter), html: htmlPage(subject, letter) };
}
