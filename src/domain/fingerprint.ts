/**
 * A fingerprint of JSON content that does not depend on the order of keys. It distinguishes a repeated submission from a
 * different one under the same id. It is not cryptographic: a producer could find collisions among its own tasks.
 */

/** JSON with the keys of every object in order. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${entries.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** 104 bits as text: two runs of `hash53` with different seeds, and the length. */
export function fingerprint(value: unknown): string {
  const text = canonicalJson(value);
  return `${text.length.toString(36)}.${hash53(text, 0).toString(36)}.${hash53(text, 0x9e3779b9).toString(36)}`;
}

/** cyrb53 by bryc (public domain): a fast 53-bit hash of a string. */
export function hash53(text: string, seed: number): number {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}
