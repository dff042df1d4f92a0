/** The keys in which two configurations differ. Pure. */
import { isJsonObject, type Json, ownValue, sameJson } from "./merge-patch.ts";

/** The path of each value that differs, in the order of the keys. A list is one value. */
export function changedKeys(before: Json | undefined, after: Json | undefined): string[][] {
  if (sameJson(before, after)) return [];
  if (!isJsonObject(before) || !isJsonObject(after)) return [[]];
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key) =>
    changedKeys(ownValue(before, key), ownValue(after, key)).map((path) => [key, ...path]),
  );
}

/** The value at a path; null if there is none. */
export function valueAt(config: Json, path: readonly string[]): Json {
  return path.reduce<Json | undefined>(ownValue, config) ?? null;
}
