/** The linter fails on code that breaks a rule of biome.json or lint/, one case for each rule that is ours. */
import { beforeAll, describe, expect, it } from "vitest";
import { LINT_TIMEOUT_MS, type LintFinding, lintFiles } from "../../support/lint.ts";

const files: Record<string, string> = {
  "src/services/part/chance.ts": "export const chance = Math.random();",
  "src/services/part/clock.ts": "export const now = () => Date.now();",
  "src/services/part/platform.ts": 'export { DurableObject } from "cloudflare:workers";',
  "src/objects/part/node.ts": 'export { readFileSync } from "node:fs";',
};

/** `src/contract` converts instants of the wire, and for that it knows `Date`. */
const CLOCKLESS = ["src/domain", "src/validation", "src/protocol", "src/strategies"];
for (const layer of CLOCKLESS) {
  files[`${layer}/part/clock.ts`] = "export const now = (at: number) => new Date(at);";
  files[`${layer}/part/timer.ts`] = "export const wait = setTimeout;";
  files[`${layer}/part/log.ts`] = 'export const log = () => console.log("text");';
}

const CYCLES: Record<string, string> = {
  "tests/cycle/one.ts": 'import { two } from "./two.ts";\nexport const one = () => two;',
  "tests/cycle/two.ts": 'import { one } from "./one.ts";\nexport const two = () => one;',
  "tests/cycle/one-type.ts": 'import type { Two } from "./two-type.ts";\nexport type One = { two: Two };',
  "tests/cycle/two-type.ts":
    'import type { One } from "./one-type.ts";\nexport type Two = { one: One | null };',
};
Object.assign(files, CYCLES);

const HOST_FILE = "src/services/promises/host.ts";
files[HOST_FILE] = `export type Host = { peer: { deliver(count: number): Promise<number> } };
export async function later(): Promise<void> {}`;
const FLOATING: Record<string, string> = {
  "an asynchronous function of another file": "later();",
  "a method of an interface of another file": "host.peer.deliver(1);",
  "a private method": "this.#own();",
  "a promise of which only the value is handled": "later().then(() => this.stop());",
  "a call of the platform": 'fetch("https://example.com");',
};
const floatingFile = (kind: string) => `src/services/promises/${kind.replaceAll(" ", "-")}.ts`;
for (const [kind, statement] of Object.entries(FLOATING)) {
  files[floatingFile(kind)] = `import { type Host, later } from "./host.ts";
export class Example {
  async #own(): Promise<void> {}
  stop(): void {}
  async all(host: Host): Promise<void> {
    await Promise.all([later(), host.peer.deliver(1), this.#own()]);
  }
  run(host: Host): void {
    void host;
    ${statement}
  }
}`;
}
const CONDITION = "src/services/promises/condition.ts";
files[CONDITION] = 'import { later } from "./host.ts";\nexport const one = () => (later() ? 1 : 2);';

const MANY = "a: number, b: number, c: number, d: number";
const FUNCTIONS: Record<string, string> = {
  "a function": `export function sum(${MANY}): number { return a + b + c + d; }`,
  "an arrow function": `export const sum = (${MANY}): number => a + b + c + d;`,
  "a constructor": `export class Sum { readonly all: number; constructor(${MANY}) { this.all = a + b + c + d; } }`,
  "a method": `export class Sum { of(${MANY}): number { return a + b + c + d; } }`,
  "a method of an object": `export const sums = { of(${MANY}): number { return a + b + c + d; } };`,
  "a type of a function": `export type Sum = (${MANY}) => number;`,
};
const PRODUCT = ["src/domain", "worker", "client/src", "scripts"];
const functionFile = (kind: string, where: string) => `${where}/functions/${kind.replaceAll(" ", "-")}.ts`;
for (const [kind, text] of Object.entries(FUNCTIONS)) {
  for (const where of PRODUCT) files[functionFile(kind, where)] = text;
}
const THREE = "src/domain/functions/three.ts";
files[THREE] = "export const sum = (a: number, b: number, c: number): number => a + b + c;";

let findings: ReadonlyMap<string, readonly LintFinding[]>;
beforeAll(() => {
  findings = lintFiles(files);
}, LINT_TIMEOUT_MS);

const rules = (path: string) => findings.get(path)?.map(({ rule }) => rule);
const messages = (path: string) => findings.get(path)?.map(({ message }) => message);

describe("the platform", () => {
  it.each(CLOCKLESS)("has no clock, no timer and no console in %s", (layer) => {
    for (const name of ["clock", "timer", "log"]) {
      expect(rules(`${layer}/part/${name}.ts`), name).toEqual(["lint/style/noRestrictedGlobals"]);
    }
  });

  it("gives the services randomness and time through the host alone", () => {
    expect(messages("src/services/part/chance.ts")).toEqual([
      expect.stringContaining("Randomness comes from the host"),
    ]);
    expect(messages("src/services/part/clock.ts")).toEqual([
      expect.stringContaining("The time comes from the host"),
    ]);
  });

  it.each(["src/services/part/platform.ts", "src/objects/part/node.ts"])("is not imported by %s", (path) => {
    expect(rules(path)).toEqual(["lint/style/noRestrictedImports"]);
  });
});

describe("an import cycle", () => {
  it.each(Object.keys(CYCLES))("fails, also one of types alone: %s", (path) => {
    expect(rules(path)).toEqual(["lint/suspicious/noImportCycles"]);
  });
});

describe("a promise", () => {
  it.each(Object.keys(FLOATING))("fails if nothing handles its error: %s", (kind) => {
    expect(rules(floatingFile(kind))).toEqual(["lint/nursery/noFloatingPromises"]);
  });

  it("fails as a condition", () => {
    expect(rules(CONDITION)).toEqual(["lint/nursery/noMisusedPromises"]);
  });

  it("passes if it is awaited", () => {
    expect(rules(HOST_FILE)).toEqual([]);
  });
});

describe("more than three parameters", () => {
  it.each(Object.keys(FUNCTIONS))("fail in %s, in every folder of the product", (kind) => {
    for (const where of PRODUCT) {
      expect(rules(functionFile(kind, where)), where).toEqual(["lint/complexity/useMaxParams"]);
    }
  });

  it("pass if they are three", () => {
    expect(rules(THREE)).toEqual([]);
  });
});
