/** The JSON of bodies and frames: what is read, and what is refused because it would be changed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readJson } from "../../../src/validation/json-text.ts";

const flawOf = (text: string) => {
  const read = readJson(text);
  return read.ok ? null : read.flaw;
};

describe("a key that is given twice", () => {
  it.each([
    ['{"type":"a","type":"b"}', "type"],
    ['{"a":{"x":1,"y":[{"x":1,"z":{},"x":2}]}}', "x"],
    ['{"a":"{\\"a\\":1}", "b":[1,2,"b"] , "a" : null}', "a"],
    ['{"a":1,"\\u0061":2}', "a"],
    ['{"\\"":1,"b\\\\":{"c":","},"\\"":2}', '\\"'],
    ['{"":1,"":2}', ""],
    ['{"constructor":1,"constructor":2}', "constructor"],
    [`{${Array.from({ length: 30 }, (_, n) => `"k${n}":0`).join(",")},"k11":1}`, "k11"],
  ])("is refused in %s", (text, key) => {
    expect(flawOf(text)).toBe(`gives the key "${key}" twice; give each key once`);
  });

  it("is named in a safe form of at most 64 characters", () => {
    const flaw = flawOf(`{"\\u202e${"x".repeat(99)}":1,"\\u202e${"x".repeat(99)}":2}`) ?? "";
    expect(flaw).toContain("\\u202ex");
    expect(flaw.length).toBeLessThan(64 + 50);
  });

  it("may be in different objects, and as a value", () => {
    for (const text of ['[{"a":1},{"a":2}]', '{"a":{"a":{"a":["a","a"]}},"b":"a"}', '{"a":"\\\\","b":1}']) {
      expect(readJson(text)).toEqual({ ok: true, value: JSON.parse(text) });
    }
  });
});

it("every JSON value is read as JSON.parse reads it", () => {
  const value = fc.json({ maxDepth: 6, stringUnit: "binary" });
  fc.assert(
    fc.property(value, fc.constantFrom(0, 1), (text: string, indent: number) => {
      const written = JSON.stringify(JSON.parse(text), null, indent);
      const read = readJson(written);
      // Numbers without an exact double are refused, and so is the key `__proto__`.
      if (read.ok) expect(read.value).toEqual(JSON.parse(written));
      else expect(read.flaw).toMatch(/number|__proto__/);
    }),
  );
});

it("text that is not JSON is refused as such, also if a key seems to be given twice", () => {
  for (const text of ['{"a":1,"a":2', '{"a\\x":1,"a\\x":1}', '"', '{"', "]", ',,"a"', '{"a":1,,"a"}']) {
    expect(flawOf(text)).toBe("is not valid JSON");
  }
});

it("64 levels are read, and one more is refused", () => {
  const nested = (levels: number) => '{"a":['.repeat(levels / 2) + "]}".repeat(levels / 2);
  expect(readJson(nested(64)).ok).toBe(true);
  expect(flawOf(nested(66))).toBe("is nested more than 64 levels deep");
});
