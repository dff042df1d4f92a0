/**
 * What to say about a key that nobody knows: its name, made safe to show, and the key that was likely meant.
 */
import { distance } from "fastest-levenshtein";

/** Characters of a caller's key that an error shows. */
const MAX_KEY_CHARACTERS = 64;

/**
 * Share of a key's characters that may be wrong while it is still taken for a misspelling. A third admits
 * `maxReassignmentAttempts` and two slips in a short key, and keeps words apart that merely sound alike.
 */
const MAX_WRONG_FRACTION = 1 / 3;

/**
 * A key as an error may show it: control, formatting and broken characters, quotes and backslashes escaped,
 * at most 64 characters.
 */
export function shownKey(key: string): string {
  let shown = "";
  // Cut first: a key may be as long as a body, and what is cut off need not be escaped.
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

/** The known key that `key` was likely meant to be, or undefined when none is near enough. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  if (key.length > MAX_KEY_CHARACTERS) return undefined;
  const ranked = known
    .map((candidate) => ({ candidate, wrong: distance(key.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, wrong }) => wrong <= Math.max(key.length, candidate.length) * MAX_WRONG_FRACTION)
    .sort((one, other) => one.wrong - other.wrong);
  return ranked[0]?.candidate;
}

/**
 * One sentence about an unknown key: its name, where it stands (`in failover_config`), and the nearest key,
 * or all of them when none is near. Where any other name would do (in a map) there is nothing to advise.
 */
export function unknownKeyMessage(key: string, where: string, known: readonly string[]): string {
  const message = `unknown key "${shownKey(key)}" ${where}`;
  if (known.length === 0) return message;
  const nearest = nearestKey(key, known);
  return `${message}; ${nearest === undefined ? `known keys: ${known.join(", ")}` : `did you mean "${nearest}"?`}`;
}
