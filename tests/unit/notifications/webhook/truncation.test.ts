import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fitted } from "../../../../src/notifications/webhook/truncation.ts";

describe("fitted lines", () => {
  const doubled = (text: string) => text.replaceAll("*", "\\*");

  it("count the omitted ones", () => {
    expect(fitted(["one", "two", "three"], 100, doubled)).toBe("one\ntwo\nthree");
    expect(fitted(["one", "two", "three"], 17, doubled)).toBe("one\n… and 2 more");
    expect(fitted(["******", "two"], 19, doubled)).toBe("\\*\\*…\ntwo");
    expect(fitted([], 10, doubled)).toBe("");
  });

  it("fit, and are escaped as a whole", () => {
    const lines = fc.array(fc.string({ unit: fc.constantFrom("*", "a", " ", "😀"), maxLength: 60 }));
    fc.assert(
      fc.property(lines, fc.integer({ min: 40, max: 200 }), (texts, maxCharacters) => {
        const text = fitted(texts, maxCharacters, doubled);
        expect(text.length).toBeLessThanOrEqual(maxCharacters);
        expect(text.replaceAll("\\*", "")).not.toMatch(/[*\\]/);
      }),
    );
  });
});
