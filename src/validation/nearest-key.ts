/** The error for an unknown key: its name, made safe to show, and the nearest known key. */
import { distance } from "fastest-levenshtein";

/** Characters of an unknown key that an error shows. */
const MAX_KEY_CHARACTERS = 64;

/**
 * The share of wrong characters up to which a key counts as a misspelling of a known one. A third includes
 * `maxReassignmentAttempts` and two errors in a short key, and excludes other words that look similar.
 */
const MAX_WRONG_FRACTION = 1 / 3;

/**
 * A key as an error may show it: control, formatting and broken characters, quotes and backslashes escaped,
 * at most 64 characters.
 */
export function shownKey(key: string): string {
  let shown = "";
  // A key may be as long as a body: cut it before escaping.
  for (const character of key.slice(0, 2 * MAX_KEY_CHARACTERS)) {
    const next = /["\\]/.test(character)
      ? `\\${character}`
      : character.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, escapedUnits);
    if (shown.length + next.length > MAX_KEY_CHARACTERS - 1) return `${shown}…`;
    shown += next;
  }
  return shown;
}

function escapedUnits(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}

/** The known key of which `key` is probably a misspelling, or undefined. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  if (key.length > MAX_KEY_CHARACTERS) return undefined;
  const ranked = known
    .map((candidate) => ({ candidate, wrong: distance(key.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, wrong }) => wrong <= Math.max(key.length, candidate.length) * MAX_WRONG_FRACTION)
    .sort((one, other) => one.wrong - other.wrong);
  return ranked[0]?.candidate;
}

/**
 * One sentence about an unknown key: its name, its place (`in failover_config`), and the nearest known key, or all
 * known keys if none is near. A map has no known keys, so the sentence names none.
 */
export function unknownKeyMessage(key: string, where: string, known: readonly string[]): string {
  const message = `unknown key "${shownKey(key)}" ${where}`;
  if (known.length === 0) return message;
  const nearest = nearestKey(key, known);
  return `${message}; ${nearest === undefined ? `known keys: ${known.join(", ")}` : `did you mean "${nearest}"?`}`;
}
