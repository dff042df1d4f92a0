import { describe, expect, it } from "vitest";
import { EXCEPTIONS } from "../../../../scripts/check/exceptions.ts";
import { findingsIn, withExceptions } from "../../../../scripts/check/words.ts";

describe("the check of language", () => {
  it("reads the name of a file as well as its text", () => {
    expect(findingsIn("src/services/ledger.ts", "const roster = 1;\n")).toEqual([
      expect.objectContaining({ path: "src/services/ledger.ts", line: 0, words: "ledger" }),
      expect.objectContaining({ path: "src/services/ledger.ts", line: 1, words: "roster" }),
    ]);
  });

  it("asks for no bare It outside Markdown", () => {
    expect(findingsIn("a.ts", "// It ends.\n")).toEqual([]);
    expect(findingsIn("a.md", "It ends.\n")).toHaveLength(1);
  });

  it("allows what an exception names, and nothing else", () => {
    const findings = findingsIn("docs/origin.md", "Whoever asks, whatever it is. It ends.");
    const exceptions = [{ path: "docs/origin.md", words: ["Whoever"], reason: "quoted" }];
    expect(withExceptions(findings, exceptions)).toMatchObject({
      findings: [{ words: "whatever" }, { words: "It" }],
      unused: [],
    });
    expect(withExceptions(findings, [{ path: "docs/origin.md", reason: "quoted" }]).findings).toEqual([]);
  });

  it("names an exception that nothing needs", () => {
    const exceptions = [
      { path: "README.md", reason: "quoted" },
      { path: "docs/origin.md", words: ["Whoever", "whatever"], reason: "quoted" },
    ];
    expect(withExceptions(findingsIn("docs/origin.md", "Whoever asks"), exceptions)).toEqual({
      findings: [],
      unused: [
        { path: "README.md", words: "finding" },
        { path: "docs/origin.md", words: '"whatever"' },
      ],
    });
  });

  it("has a reason for every exception", () => {
    expect(EXCEPTIONS.filter(({ reason }) => !/^\S.*\.$/.test(reason))).toEqual([]);
  });
});
