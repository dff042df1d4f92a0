/**
 * Cuts text to the limits of a receiver. Escaping makes text longer, so a text is cut before it is escaped and measured
 * afterwards: no escape is cut in the middle.
 */
import { printable } from "../text.ts";

export type Escape = (text: string) => string;

/** The longest escape of one character: `&amp;` for `&`. */
const MAX_ESCAPE_CHARACTERS = 5;

/** `text` as one line, escaped, of at most `maxCharacters` after escaping. */
export function escapedWithin(text: string, maxCharacters: number, asShown: Escape): string {
  let length = Math.min(maxCharacters, text.length);
  while (length > 0) {
    const escaped = asShown(printable(text, length));
    const excess = escaped.length - maxCharacters;
    if (excess <= 0) return escaped;
    length -= Math.ceil(excess / MAX_ESCAPE_CHARACTERS);
  }
  return "";
}

/** As many of the lines as `maxCharacters` allow, and how many are left out. */
export function fitted(lines: readonly string[], maxCharacters: number, asShown: Escape): string {
  const [first, ...others] = lines;
  if (first === undefined) return "";
  let text = escapedWithin(first, maxCharacters - omission(others.length).length, asShown);
  for (const [index, line] of others.entries()) {
    const longer = `${text}\n${asShown(printable(line, maxCharacters))}`;
    const end = omission(others.length - index - 1);
    if (longer.length + end.length > maxCharacters) return text + omission(others.length - index);
    text = longer;
  }
  return text;
}

function omission(count: number): string {
  return count > 0 ? `\n… and ${count} more` : "";
}
