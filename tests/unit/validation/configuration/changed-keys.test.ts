/** The keys in which two configurations differ. */
import { expect, it } from "vitest";
import { changedKeys, valueAt } from "../../../../src/validation/configuration/changed-keys.ts";

it("names each value that differs by its path; a list is one value", () => {
  const before = { a: { b: 1, c: [1, 2], same: { x: 1, y: 2 } }, gone: { deep: true }, list: [] };
  const after = { a: { b: 2, c: [2, 1], same: { y: 2, x: 1 }, added: null }, list: [{ a: 1 }], text: "new" };
  expect(changedKeys(before, after)).toEqual([
    ["a", "b"],
    ["a", "c"],
    ["a", "added"],
    ["gone"],
    ["list"],
    ["text"],
  ]);
  expect(changedKeys(before, before)).toEqual([]);
  expect(valueAt(after, ["a", "c"])).toEqual([2, 1]);
  expect(valueAt(after, ["gone"])).toBeNull();
});
