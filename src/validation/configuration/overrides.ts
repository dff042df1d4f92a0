/**
 * The overrides of a cluster: the differences of its configuration from the file. The file may change later; each
 * override concerns one path, and all other paths follow the file.
 *
 * An override has a `value` at its `path`, or says that the entry is `gone`. A merge patch could not express both,
 * since its `null` has one meaning only, and two occur here: the value `null` (`default_timeout_seconds`), and an entry
 * of a map (`backup_agents`, `headers`) that the file has and the cluster does not.
 */
import type { Config } from "../../contract/config.ts";
import { isJsonObject, type Json, mergePatch, objectFrom, ownValue, sameJson } from "./merge-patch.ts";

export type ConfigOverride =
  | { readonly path: readonly string[]; readonly value: Json }
  | { readonly path: readonly string[]; readonly gone: true };

/** In the order of their paths; no override is inside another. Plain JSON, as it is stored. */
export type ConfigOverrides = readonly ConfigOverride[];

/**
 * The fewest overrides that turn `base` into `wanted`: `applyOverrides(base, differenceFrom(base, wanted))` equals
 * `wanted`. The order of keys does not change the list.
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
 * `base` with every override applied. Objects on a path that `base` does not have are created. The caller validates the
 * result, because the file may have changed since the overrides were stored.
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
 * The overrides after a merge patch (RFC 7396) of the configuration in force. A `null` in the patch restores a key, a
 * section or an entry from the file; an entry that the file does not have is removed. Overrides that equal the base
 * are dropped.
 */
export function patchOverrides(base: Config, overrides: ConfigOverrides, patch: Json): ConfigOverride[] {
  return differenceFrom(base, mergePatch(applyOverrides(base, overrides), patch, base));
}
