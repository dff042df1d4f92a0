/**
 * What a cluster's configuration says otherwise than the file. The file is the base and may change under
 * the overrides; each override is one place in it, so that all other places go on following the file.
 *
 * An override says at `path` either a `value` or that the entry is `gone`. A list of places is used and not a
 * merge patch, because in a patch `null` can mean only one of two things that both occur here: the value
 * `null` (`default_timeout_seconds`), and an entry of a map (`backup_agents`, `headers`) that the file has and
 * the cluster does not.
 */
import type { Config } from "../../contract/config.ts";
import { isJsonObject, type Json, mergePatch, objectFrom, ownValue, sameJson } from "./merge-patch.ts";

export type ConfigOverride =
  | { readonly path: readonly string[]; readonly value: Json }
  | { readonly path: readonly string[]; readonly gone: true };

/** In the order of their paths; no override lies inside another. Plain JSON, to be stored as it is. */
export type ConfigOverrides = readonly ConfigOverride[];

/**
 * The fewest overrides that make `wanted` of `base`:
 * `applyOverrides(base, differenceFrom(base, wanted))` says the same as `wanted`. One difference, one list,
 * whatever order the keys came in.
 */
export function differenceFrom(base: Json, wanted: Json): ConfigOverride[] {
  const places = differences([], base, wanted).map((override) => ({
    override,
    order: JSON.stringify(override.path),
  }));
  return places.sort((one, other) => (one.order < other.order ? -1 : 1)).map(({ override }) => override);
}

function differences(path: readonly string[], base: Json | undefined, wanted: Json): ConfigOverride[] {
  if (!isJsonObject(base) || !isJsonObject(wanted)) {
    return sameJson(base, wanted) ? [] : [{ path, value: wanted }];
  }
  const gone = Object.keys(base).filter((key) => !Object.hasOwn(wanted, key));
  return [
    ...gone.map((key): ConfigOverride => ({ path: [...path, key], gone: true })),
    ...Object.entries(wanted).flatMap(([key, value]) =>
      differences([...path, key], ownValue(base, key), value),
    ),
  ];
}

/**
 * `base` with every override in its place. Where the base no longer has the objects on the way to a place,
 * they come into being. The result has the shape of a configuration but is still to be validated: the file may
 * have changed since the overrides were made.
 */
export function applyOverrides(base: Json, overrides: ConfigOverrides): Json {
  return overrides.reduce<Json>((value, override) => withOverride(value, override.path, override), base);
}

function withOverride(target: Json | undefined, path: readonly string[], override: ConfigOverride): Json {
  const [key, ...rest] = path;
  if (key === undefined) return "value" in override ? override.value : null;
  const entries = new Map<string, Json>(isJsonObject(target) ? Object.entries(target) : []);
  if (rest.length === 0 && "gone" in override) entries.delete(key);
  else entries.set(key, withOverride(entries.get(key), rest, override));
  return objectFrom(entries);
}

/**
 * The overrides after a merge patch (RFC 7396) on what holds now. A `null` in the patch takes the key, the
 * section or the entry back to what the file says of it; an entry that the file does not have is then gone.
 * Overrides that no longer differ from the base are dropped.
 */
export function patchOverrides(base: Config, overrides: ConfigOverrides, patch: Json): ConfigOverride[] {
  return differenceFrom(base, mergePatch(applyOverrides(base, overrides), patch, base));
}
