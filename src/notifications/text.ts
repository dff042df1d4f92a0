/**
 * Building blocks of texts for people: one line of printable characters, lists, counts, durations, instants. They do not
 * escape: each channel escapes a text for the place where it puts it.
 */

/** The longest id. */
export const MAX_NAME_CHARACTERS = 128;
/** Names in one list: nobody compares more of them by eye. */
const NAMES_SHOWN = 5;

/** Line ends and tabs separate words: they become a space. */
const SPACES = /[\s\u0085\u2028\u2029]+/gu;
/** Control characters, halves of characters, and characters that change the direction of the text around them. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/gu;

/** One line of at most `maxCharacters` UTF-16 units, without hidden characters. */
export function printable(text: string, maxCharacters: number): string {
  const line = text.replace(SPACES, " ").replace(UNPRINTABLE, "").replace(/ +/g, " ").trim();
  if (line.length <= maxCharacters) return line;
  // A character of two units is not cut in half.
  const cut = line.slice(0, Math.max(0, maxCharacters - 1)).replace(/[\ud800-\udbff]$/, "");
  return maxCharacters < 1 ? "" : `${cut.trimEnd()}…`;
}

/** "a, b and c"; "a, b and 12 more" when `total` is more than what is named. */
export function listed(names: readonly string[], total: number = names.length, shown = NAMES_SHOWN): string {
  const named = names.slice(0, shown).map((name) => printable(name, MAX_NAME_CHARACTERS));
  const omitted = Math.max(total, names.length) - named.length;
  const parts = omitted > 0 ? [...named, named.length === 0 ? String(omitted) : `${omitted} more`] : named;
  const last = parts.at(-1) ?? "";
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(", ")} and ${last}`;
}

/** "1 task", "3 tasks". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Units of time, longest first; two of them are precise enough for people. */
const UNITS = [
  { ms: 86_400_000, one: "day" },
  { ms: 3_600_000, one: "hour" },
  { ms: 60_000, one: "minute" },
  { ms: 1000, one: "second" },
];

/** "2 hours 5 minutes"; a shorter time is "less than a second". */
export function durationInWords(durationMs: number): string {
  const at = UNITS.findIndex(({ ms }) => durationMs >= ms);
  const first = UNITS[at];
  if (first === undefined) return "less than a second";
  const count = Math.floor(durationMs / first.ms);
  const second = UNITS[at + 1];
  const rest = second === undefined ? 0 : Math.floor((durationMs - count * first.ms) / second.ms);
  const words = counted(count, first.one);
  return second === undefined || rest === 0 ? words : `${words} ${counted(rest, second.one)}`;
}

/** An instant of the API for people: "2026-01-31 09:05:00 UTC". */
export function momentInWords(instant: string): string {
  const [, date, time] = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/.exec(instant) ?? [];
  return date === undefined || time === undefined ? printable(instant, 40) : `${date} ${time} UTC`;
}

/** The time between two instants of the API, in words. */
export function timeBetween(from: string, to: string): string {
  return durationInWords(Math.max(0, Date.parse(to) - Date.parse(from)));
}
