import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { MUTANTS, mutated } from "../../mutants/mutants.ts";

const read = (file: string) => readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");

describe("the mutants", () => {
  it.each(MUTANTS)("$name has one place in its file, and changes the file", (mutant) => {
    const code = read(mutant.file);
    expect(mutated(mutant, code)).not.toBe(code);
  });

  it("have names of their own", () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });
});
