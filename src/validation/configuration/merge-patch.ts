/**
 * JSON values and the merge patch of RFC 7396. No function changes its arguments or writes a key `__proto__`, which
 * would change the prototype of an object.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The own property of an object; undefined for a value that is not an object. */
export function ownValue(value: Json | undefined, key: string): Json | undefined {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/**
 * `target` with `patch` merged into it: objects merge key by key, other values replace. A `null` in the patch restores
 * the key from `base` and removes it if `base` does not have it. Without a `base` this is RFC 7396.
 */
export function mergePatch(target: Json | undefined, patch: Json, base?: Json): Json {
  if (!isJsonObject(patch)) return patch;
  const merged = new Map<string, Json>(isJsonObject(target) ? Object.entries(target) : []);
  for (const [key, change] of Object.entries(patch)) {
    const inBase = ownValue(base, key);
    if (change !== null) merged.set(key, mergePatch(merged.get(key), change, inBase));
    else if (inBase !== undefined) merged.set(key, inBase);
    else merged.delete(key);
  }
  return objectFrom(merged);
}

/** An object of these entries, without any `__proto__`. */
export function objectFrom(entries: Iterable<readonly [string, Json]>): JsonObject {
  return Object.fromEntries([...entries].filter(([key]) => key !== "__proto__"));
}

/** Whether two JSON values are equal; the order of keys does not matter. */
export function sameJson(one: Json | undefined, other: Json | undefined): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => sameJson(item, other[index]));
  }
  if (isJsonObject(one) && isJsonObject(other)) {
    const keys = Object.keys(one);
    return (
      keys.length === Object.keys(other).length &&
      keys.every((key) => Object.hasOwn(other, key) && sameJson(one[key], other[key]))
    );
  }
  return one === other;
}
