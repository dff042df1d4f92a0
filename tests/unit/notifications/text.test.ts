import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationInWords, listed, momentInWords, printable } from "../../../src/notifications/text.ts";

const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const anyText = fc.string({ unit: "binary", maxLength: 400 });

describe("printable text", () => {
  it("is one line without control characters, and without characters that change its direction", () => {
    expect(printable("a\r\nb\tc\u0000\u001b[31m\u202egpj\u2066.exe\u2028d", 100)).toBe("a b c[31mgpj.exe d");
  });

  it("is cut with a mark, never within a character", () => {
    expect(printable("abcdef", 4)).toBe("abc…");
    expect(printable("ab😀😀", 4)).toBe("ab…");
    expect(printable("abc", 0)).toBe("");
  });

  it("is both for any text, and is not changed a second time", () => {
    fc.assert(
      fc.property(anyText, fc.nat(500), (text, maxCharacters) => {
        const line = printable(text, maxCharacters);
        expect(line.length).toBeLessThanOrEqual(maxCharacters);
        expect(line).not.toMatch(UNPRINTABLE);
        expect(printable(line, maxCharacters)).toBe(line);
      }),
    );
  });
});

describe("small words", () => {
  it("list names, and count the omitted ones", () => {
    expect(listed([])).toBe("");
    expect(listed(["a"])).toBe("a");
    expect(listed(["a", "b"])).toBe("a and b");
    expect(listed(["a", "b", "c"])).toBe("a, b and c");
    expect(listed(["a", "b"], 14)).toBe("a, b and 12 more");
    expect(listed(["a", "b", "c", "d", "e", "f"])).toBe("a, b, c, d, e and 1 more");
    expect(listed([], 3)).toBe("3");
  });

  it("give a duration in its two largest units", () => {
    expect(durationInWords(0)).toBe("less than a second");
    expect(durationInWords(1000)).toBe("1 second");
    expect(durationInWords(31_900)).toBe("31 seconds");
    expect(durationInWords(185_000)).toBe("3 minutes 5 seconds");
    expect(durationInWords(7_200_000)).toBe("2 hours");
    expect(durationInWords(93_600_000)).toBe("1 day 2 hours");
  });

  it("give a time to the second", () => {
    expect(momentInWords("2026-01-31T09:05:00.123Z")).toBe("2026-01-31 09:05:00 UTC");
  });
});
