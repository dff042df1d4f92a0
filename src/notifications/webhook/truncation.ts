/**
 * Lines of text cut to what a receiver takes. Escaping makes text longer, so it is cut before
 * and measured after; nothing is ever cut in the middle of an escape.
 */
import { printable } from "../wording.ts";

export type Escape = (text: string) => string;

/** The longest escape of one character: `&amp;` for `&`. */
const MAX_ESCAPE_CHARACTERS = 5;

/** `text` in one line, escaped, with at most `maxCharacters` in the end. */
export function escapedWithin(text: string, maxCharacters: number, asShown: Escape): string {
  let room = Math.min(maxCharacters, text.length);
  while (room > 0) {
    const escaped = asShown(printable(text, room));
    const excess = escaped.length - maxCharacters;
    if (excess <= 0) return escaped;
    room -= Math.ceil(excess / MAX_ESCAPE_CHARACTERS);
  }
  return "";
}

/** As many of the lines as fit into `maxCharacters`, and how many are left out. */
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
