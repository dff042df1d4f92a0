import { describe, expect, it } from "vitest";
import { readArguments } from "../../../../scripts/inspect/arguments.ts";

describe("the arguments of npm run inspect", () => {
  it("name a folder, which is DATA_DIR or .data by default", () => {
    const folderOf = (words: string[], environment = {}) => {
      const read = readArguments(words, environment);
      return read.ok && read.value !== "help" ? read.value.dataDir : null;
    };
    expect(folderOf(["other"])).toBe("other");
    expect(folderOf([], { DATA_DIR: "data" })).toBe("data");
    expect(folderOf([])).toBe(".data");
  });

  it("may ask for JSON, a table and names to try", () => {
    expect(
      readArguments(["--json", "--table", "tasks", "--cluster", "a", "--cluster", "b", "d"], {}),
    ).toEqual({
      ok: true,
      value: { dataDir: "d", asJson: true, table: "tasks", clusters: ["a", "b"] },
    });
    expect(readArguments(["-h", "d"], {})).toEqual({ ok: true, value: "help" });
  });

  it.each([[["--jsn"]], [["a", "b"]], [["--table"]]])("%j are refused with a hint at the help", (words) => {
    const read = readArguments(words, {});
    expect(read.ok ? "" : read.lines.join()).toContain("see --help");
  });
});
