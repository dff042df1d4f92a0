/**
 * Parses the JSON of a body or a frame. Text that JavaScript cannot keep exactly, such as a number of 20 digits, is
 * refused and not changed.
 */

/** Deeper JSON has no use, and code that walks it needs stack for each level. */
const DEPTH_LIMIT = 64;

/** Only text that matches can contain a key `__proto__` or a number that has no exact double. */
const SUSPICIOUS = /__proto__|\\u|e\+?\d{2}|\d{16}/i;

/** The value, or what is wrong with the text, as the end of a sentence. */
export type JsonReading = { ok: true; value: unknown } | { ok: false; flaw: string };

export function readJson(text: string): JsonReading {
  if (depthOf(text) > DEPTH_LIMIT)
    return { ok: false, flaw: `is nested more than ${DEPTH_LIMIT} levels deep` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, flaw: "is not valid JSON" };
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

/** The depth of nested brackets outside of strings. */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let index = 0; index < json.length; index++) {
    const unit = json[index];
    if (isInString) {
      if (unit === "\\") index += 1;
      else if (unit === '"') isInString = false;
    } else if (unit === '"') isInString = true;
    else if (unit === "[" || unit === "{") deepest = Math.max(deepest, ++depth);
    else if (unit === "]" || unit === "}") depth -= 1;
  }
  return deepest;
}
