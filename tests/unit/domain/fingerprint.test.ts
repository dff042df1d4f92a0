/** Fingerprints of JSON content. */
import { describe, expect, it } from "vitest";
import { fingerprint } from "../../../src/domain/fingerprint.ts";

describe("a fingerprint", () => {
  it("does not depend on the order of keys, or on keys without a value", () => {
    const one = fingerprint({ type: "resize", data: { width: 1, height: [2, 3] } });
    expect(fingerprint({ data: { height: [2, 3], width: 1 }, type: "resize", group: undefined })).toBe(one);
  });

  it.each([
    ["another value", { a: 1 }, { a: 2 }],
    ["another order in a list", { a: [1, 2] }, { a: [2, 1] }],
    ["a number as text", { a: 1 }, { a: "1" }],
    ["null instead of nothing", { a: null }, {}],
    ["a value in another place", { a: { b: 1 } }, { a: 1, b: 1 }],
  ])("differs for %s", (_, one, other) => {
    expect(fingerprint(one)).not.toBe(fingerprint(other));
  });
});
