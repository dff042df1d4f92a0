/**
 * Parses the JSON of a body or a frame. Text that JavaScript cannot keep exactly, such as a number of 20 digits or a key
 * that is given twice, is refused and not changed.
 */
import { shownKey } from "./nearest-key.ts";

/** Deeper JSON has no use, and code that walks it needs stack for each level. */
const DEPTH_LIMIT = 64;

/** Only text that matches can contain a key `__proto__` or a number that has no exact double. */
const SUSPICIOUS = /__proto__|\\u|e\+?\d{2}|\d{16}/i;

/** The value, or what is wrong with the text, as the end of a sentence. */
export type JsonReading = { ok: true; value: unknown } | { ok: false; flaw: string };

export function readJson(text: string): JsonReading {
  const { isTooDeep, repeatedKey } = scan(text);
  if (isTooDeep) return { ok: false, flaw: `is nested more than ${DEPTH_LIMIT} levels deep` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, flaw: "is not valid JSON" };
  }
  if (repeatedKey !== null) {
    return { ok: false, flaw: `gives the key "${shownKey(repeatedKey)}" twice; give each key once` };
  }
  const loss = SUSPICIOUS.test(text) ? lossIn(value) : null;
  return loss === null ? { ok: true, value } : { ok: false, flaw: loss };
}

function lossIn(value: unknown): string | null {
  if (typeof value === "number") {
    const isKept = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
    return isKept ? null : "contains a number that cannot be stored exactly; send it as a string";
  }
  if (typeof value !== "object" || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    if (key === "__proto__") return 'contains the key "__proto__", which is not allowed';
    const loss = lossIn(member);
    if (loss !== null) return loss;
  }
  return null;
}

/** Up to this many keys, searching a list is faster than making a set. */
const FEW_KEYS = 8;

/** The keys of one object so far. */
class Keys {
  readonly #few: string[] = [];
  #many: Set<string> | null = null;

  /** @returns whether it was there already */
  add(key: string): boolean {
    if (this.#many === null) {
      if (this.#few.includes(key)) return true;
      this.#few.push(key);
      if (this.#few.length > FEW_KEYS) this.#many = new Set(this.#few);
      return false;
    }
    if (this.#many.has(key)) return true;
    this.#many.add(key);
    return false;
  }
}

/** One pass over the text, without recursion. Of text that is no JSON, it finds anything. */
function scan(json: string): { isTooDeep: boolean; repeatedKey: string | null } {
  /** For each open bracket: the keys of an object, or null for a list. */
  const open: (Keys | null)[] = [];
  let isKeyNext = false;
  let repeatedKey: string | null = null;
  for (let index = 0; index < json.length; index++) {
    switch (json[index]) {
      case '"': {
        const end = endOfString(json, index);
        if (isKeyNext && repeatedKey === null) {
          const key = keyOf(json.slice(index, end + 1));
          if (key !== null && open.at(-1)?.add(key)) repeatedKey = key;
        }
        isKeyNext = false;
        index = end;
        break;
      }
      case "{":
        isKeyNext = true;
        if (open.push(new Keys()) > DEPTH_LIMIT) return { isTooDeep: true, repeatedKey };
        break;
      case "[":
        isKeyNext = false;
        if (open.push(null) > DEPTH_LIMIT) return { isTooDeep: true, repeatedKey };
        break;
      case "}":
      case "]":
        isKeyNext = false;
        open.pop();
        break;
      case ",":
        isKeyNext = open.at(-1) != null;
        break;
      default:
    }
  }
  return { isTooDeep: false, repeatedKey };
}

/** The index of the quote that ends the string, or the end of the text. */
function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (end > 0 && isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end < 0 ? json.length : end;
}

function isEscaped(json: string, index: number): boolean {
  let backslashes = 0;
  while (json[index - 1 - backslashes] === "\\") backslashes += 1;
  return backslashes % 2 === 1;
}

/** @param quoted with its quotes and escapes; null if it is not valid */
function keyOf(quoted: string): string | null {
  if (!quoted.includes("\\")) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return null;
  }
}
