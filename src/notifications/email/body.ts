/** A notice as a mail: its subject, and the same words as text and as a page. */
import type { Mail } from "../carriers.ts";
import type { Notice } from "../notice.ts";
import { letterOf } from "./letter.ts";
import { htmlPage } from "./page.ts";
import { plainText } from "./plain.ts";
import { subjectOf } from "./subject.ts";

/** The same notice gives the same mail: a provider that knows its id compares the two. */
export function mailBody(notice: Notice): Pick<Mail, "subject" | "text" | "html"> {
  const subject = subjectOf(notice);
  const letter = letterOf(notice);
  return { subject, text: plainText(letter), html: htmlPage(subject, letter) };
}
