/** lint/layers.grit refuses every import that goes up, in any form. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { LINT_TIMEOUT_MS, type LintFinding, lintFiles } from "../../support/lint.ts";

const SOURCE = join(import.meta.dirname, "../../../src");

const PURE = ["src/contract", "src/domain", "src/validation", "src/protocol", "src/strategies"];
const BELOW_SERVICES = [...PURE, "src/storage", "src/notifications"];

/** What each folder may import besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src/contract": [],
  "src/domain": ["src/contract"],
  "src/validation": ["src/contract", "src/domain"],
  "src/protocol": ["src/contract", "src/domain", "src/validation"],
  "src/strategies": ["src/contract", "src/domain"],
  "src/storage": PURE,
  "src/notifications": PURE,
  "src/services": BELOW_SERVICES,
  "src/objects": [...BELOW_SERVICES, "src/services"],
  worker: [...PURE, "src/notifications", "src/services", "src/objects"],
  "client/src": ["src/contract"],
};
const FOLDERS = Object.keys(MAY_IMPORT);
const LAYERS = FOLDERS.filter((name) => name.startsWith("src/"));

/** A file in a subfolder of `from` that imports one in a subfolder of `to`. */
const pairFile = (from: string, to: string) => `${from}/part/imports-${to.replace("/", "-")}.ts`;
const specifier = (from: string, to: string) =>
  from.startsWith("src/")
    ? `../../${to.slice("src/".length)}/part/target.ts`
    : `${"../".repeat(from.split("/").length + 1)}${to}/part/target.ts`;

const FORMS: Record<string, string> = {
  "an import": 'import { target } from "SPECIFIER";\nexport const same = target;',
  "an import of a type": 'import type { Target } from "SPECIFIER";\nexport const same: Target = 1;',
  "a re-export": 'export * from "SPECIFIER";',
  "a dynamic import": 'export const later = () => import("SPECIFIER");',
  "a type of a module": 'export type Same = import("SPECIFIER").Target;',
};
const formFile = (form: string) => `src/domain/forms/${form.replaceAll(" ", "-")}.ts`;
const FROM_TESTS = "src/services/part/from-tests.ts";

const files: Record<string, string> = {
  [FROM_TESTS]: 'export { until } from "../../../tests/support/until.ts";',
};
for (const from of FOLDERS) {
  files[`${from}/part/target.ts`] = "export const target = 1;\nexport type Target = number;";
  for (const to of LAYERS) {
    if (to !== from) files[pairFile(from, to)] = `export { target } from "${specifier(from, to)}";`;
  }
}
for (const [form, text] of Object.entries(FORMS)) {
  files[formFile(form)] = text.replace("SPECIFIER", specifier("src/domain", "src/services"));
}

let findings: ReadonlyMap<string, readonly LintFinding[]>;
beforeAll(() => {
  findings = lintFiles(files);
}, LINT_TIMEOUT_MS);

describe("the linter", () => {
  it("has a row for every folder of src", () => {
    const folders = readdirSync(SOURCE).map((name) => `src/${name}`);
    expect(folders.filter((name) => !FOLDERS.includes(name))).toEqual([]);
  });

  it.each(FOLDERS)("lets %s import what is below it, and nothing else", (from) => {
    const others = LAYERS.filter((to) => to !== from);
    const refused = others.filter((to) => findings.get(pairFile(from, to))?.length !== 0);
    expect(refused).toEqual(others.filter((to) => !MAY_IMPORT[from]?.includes(to)));
  });

  it.each(Object.keys(FORMS))("refuses %s that goes up, and says what to do", (form) => {
    expect(findings.get(formFile(form))).toEqual([
      { rule: "plugin", message: expect.stringContaining("Take the value as an argument") },
    ]);
  });

  it("refuses an import from tests", () => {
    expect(findings.get(FROM_TESTS)).toEqual([
      { rule: "plugin", message: expect.stringContaining("The product imports nothing from tests") },
    ]);
  });
});

describe("a clone in a folder with the name of a layer", () => {
  it.each(["worker", "tests"])("called %s has the same rules", { timeout: LINT_TIMEOUT_MS }, (cloneName) => {
    const scripts = "scripts/part/reads-storage.ts";
    const test = "tests/unit/part/reads-support.test.ts";
    const upward = pairFile("src/domain", "src/services");
    const found = lintFiles(
      {
        [scripts]: 'export { target } from "../../src/storage/part/target.ts";',
        [test]: 'export { until } from "../../../tests/support/until.ts";',
        [upward]: files[upward] ?? "",
        "src/storage/part/target.ts": "export const target = 1;",
      },
      cloneName,
    );
    const count = (path: string) => found.get(path)?.filter(({ rule }) => rule.includes("plugin")).length;
    expect([scripts, test, upward].map(count)).toEqual([0, 0, 1]);
  });
});
