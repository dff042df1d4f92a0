/**
 * The names of stored objects. A file is called by the object's id, which workerd derives from the class and the name,
 * as https://github.com/cloudflare/workerd/blob/main/src/workerd/server/actor-id-impl.c++ has it: so a name is found by
 * trying names that occur in the data.
 */
import { createHash, createHmac } from "node:crypto";

const HALF_BYTES = 16;

/** @param uniqueKey of the namespace: the class, see scripts/server/workerd-config.ts */
export function objectId(uniqueKey: string, name: string): string {
  const key = createHash("sha256").update(uniqueKey).digest();
  const half = (text: string | Buffer) =>
    createHmac("sha256", key).update(text).digest().subarray(0, HALF_BYTES);
  const base = half(name);
  return Buffer.concat([base, half(base)]).toString("hex");
}

/** The names by id, of those among `names` that are ids in use. */
export function namesById(
  uniqueKey: string,
  ids: ReadonlySet<string>,
  names: Iterable<string>,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of names) {
    const id = objectId(uniqueKey, name);
    if (ids.has(id)) found.set(id, name);
  }
  return found;
}
