/**
 * The rules of the linter, each shown to fail on code that breaks it. The code is written into a folder of its own,
 * beside copies of `biome.json` and `lint/`, and is linted there in one run.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");
const BIOME = join(ROOT, "node_modules/@biomejs/biome/bin/biome");
const LINT_TIMEOUT_MS = 60_000;

const PURE = ["src/contract", "src/domain", "src/validation", "src/protocol", "src/strategies"];
/** The contract converts instants of the wire, and for that it knows `Date`. */
const CLOCKLESS = PURE.filter((name) => name !== "src/contract");
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

type Finding = { rule: string; file: string; message: string };

let folder = "";
let findings: readonly Finding[] = [];

const written = new Map<string, string>();
const write = (file: string, text: string): void => void written.set(file, `${text}\n`);
const of = (file: string): Finding[] => findings.filter((finding) => finding.file.endsWith(`/${file}`));

/** A file deep in `from` that imports one deep in `to`. */
const pairFile = (from: string, to: string) => `${from}/part/imports-${to.replace("/", "-")}.ts`;
const specifier = (from: string, to: string) =>
  from.startsWith("src/") && to.startsWith("src/")
    ? `../../${to.slice("src/".length)}/part/target.ts`
    : `../${"../".repeat(from.split("/").length)}${to}/part/target.ts`;

function lint(): readonly Finding[] {
  const { stdout } = spawnSync(
    process.execPath,
    [BIOME, "lint", "--vcs-enabled=false", "--max-diagnostics=none", "--reporter=github", "."],
    { cwd: folder, encoding: "utf8" },
  );
  return [...stdout.matchAll(/^::error title=([^,]*),file=([^,]*),.*?::(.*)$/gm)].map(
    ([, rule = "", file = "", message = ""]) => ({ rule, file, message }),
  );
}

for (const layer of FOLDERS) {
  write(`${layer}/part/target.ts`, "export const target = 1;\nexport type Target = number;");
  for (const other of LAYERS) {
    if (other !== layer)
      write(pairFile(layer, other), `export { target } from "${specifier(layer, other)}";`);
  }
}
const FORMS: Record<string, string> = {
  "an import": 'import { target } from "SPECIFIER";\nexport const same = target;',
  "an import of a type": 'import type { Target } from "SPECIFIER";\nexport const same: Target = 1;',
  "a re-export": 'export * from "SPECIFIER";',
  "a dynamic import": 'export const later = () => import("SPECIFIER");',
  "a type of a module": 'export type Same = import("SPECIFIER").Target;',
};
const formFile = (form: string) => `src/domain/forms/${form.replaceAll(" ", "-")}.ts`;
for (const [form, text] of Object.entries(FORMS))
  write(formFile(form), text.replace("SPECIFIER", "../../services/part/target.ts"));
for (const layer of CLOCKLESS)
  write(`${layer}/part/clock.ts`, "export const now = Date.now();\nexport const wait = setTimeout;");
write("src/services/part/chance.ts", "export const chance = Math.random();");
write("src/services/part/platform.ts", 'export { DurableObject } from "cloudflare:workers";');
write("src/objects/part/node.ts", 'export { readFileSync } from "node:fs";');
write("src/services/part/from-tests.ts", 'export { until } from "../../../tests/support/until.ts";');

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "failover-lint-"));
  for (const name of ["biome.json", "lint"])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  for (const [file, text] of written) {
    mkdirSync(join(folder, dirname(file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  findings = lint();
}, LINT_TIMEOUT_MS);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("imports between layers", () => {
  it("have a row for every folder of src", () => {
    const folders = readdirSync(join(ROOT, "src")).map((name) => `src/${name}`);
    expect(folders.filter((name) => !FOLDERS.includes(name))).toEqual([]);
  });

  it.each(FOLDERS)("of %s go down only", (from) => {
    const refused = LAYERS.filter((to) => to !== from && of(pairFile(from, to)).length > 0);
    const expected = LAYERS.filter((to) => to !== from && !MAY_IMPORT[from]?.includes(to));
    expect(refused).toEqual(expected);
  });

  it.each(Object.keys(FORMS))("are seen in %s", (form) => {
    expect(of(formFile(form))).toEqual([
      expect.objectContaining({
        rule: "plugin",
        message: expect.stringContaining("Take the value as an argument"),
      }),
    ]);
  });

  it("do not reach into tests", () => {
    expect(of("src/services/part/from-tests.ts")).toEqual([
      expect.objectContaining({ message: expect.stringContaining("The product imports nothing from tests") }),
    ]);
  });
});

describe("the platform", () => {
  it.each(CLOCKLESS)("has no clock and no timer in %s", (layer) => {
    expect(of(`${layer}/part/clock.ts`)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          rule: "lint/style/noRestrictedGlobals",
          message: expect.stringContaining("Date"),
        }),
        expect.objectContaining({ message: expect.stringContaining("setTimeout") }),
      ]),
    );
  });

  it("gives the services no randomness", () => {
    expect(of("src/services/part/chance.ts")).toEqual([
      expect.objectContaining({ message: expect.stringContaining("Randomness comes from the host") }),
    ]);
  });

  it.each(["src/services/part/platform.ts", "src/objects/part/node.ts"])("is not imported by %s", (file) => {
    expect(of(file)).toEqual([expect.objectContaining({ rule: "lint/style/noRestrictedImports" })]);
  });
});
