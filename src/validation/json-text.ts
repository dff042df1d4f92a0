/**
 * JSON that comes from outside, in a body or in a frame. What cannot be kept as it came is refused, not
 * altered. Pure.
 */

/** Deeper JSON serves nobody and costs stack wherever it is walked. */
const DEPTH_LIMIT = 64;

/** Only such a text can hold what would not be kept: a key `__proto__`, or a number that no double is exactly. */
const SUSPICIOUS = /__proto__|\\u|e\+?\d{2}|\d{16}/i;

/** A value, or what is wrong with the text, as the end of a sentence. */
export type JsonReading = { ok: true; value: unknown } | { ok: false; flaw: string };

export function readJson(text: string): JsonReading {
  if (depthOf(text) > DEPTH_LIMIT) return { ok: false, flaw: `is nested more than ${DEPTH_LIMIT} deep` };
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
    return isKept ? null : "holds a number too large to be kept exactly; send it as text";
  }
  if (typeof value !== "object" || value === null) return null;
  for (const [key, member] of Object.entries(value)) {
    if (key === "__proto__") return 'holds a key "__proto__", which is no key of ours';
    const loss = lossIn(member);
    if (loss !== null) return loss;
  }
  return null;
}

/** How deep brackets nest outside of strings. */
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
