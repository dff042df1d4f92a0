/** The published types of the client are equal to those of the contract. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { declarations } from "../../scripts/client/declarations.ts";
import { wireTypes } from "../../scripts/client/wire-types.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const OPTIONS = [
  ...["--ignoreConfig", "--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler"],
  ...["--types", ""],
];

/**
 * What the compiler prints. The test runner's worker goes on meanwhile: a worker that is blocked for long, as by a
 * compiler on a busy machine, is given up.
 */
async function complaints(
  file: string,
  target: "es2022" | "es2024",
  words: readonly string[] = [],
): Promise<string> {
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const lib = `${target},dom`;
  const compiled = promisify(execFile)(tsc, [...OPTIONS, "--target", target, "--lib", lib, ...words, file], {
    cwd: ROOT,
  });
  const { stdout } = await compiled.catch((error: { code: unknown; stdout: string }) => {
    // The compiler itself ends with a number.
    if (typeof error.code !== "number") throw error;
    return error;
  });
  return stdout;
}

it("each published type is assignable to the type of the contract, and the other way round", async () => {
  const dir = mkdtempSync(join(tmpdir(), "failover-wire-types-"));
  try {
    const names = [...wireTypes().keys()];
    writeFileSync(
      join(dir, "written.d.ts"),
      [...wireTypes().values()].map((text) => `export ${text}`).join("\n"),
    );
    const pairs = names.map(
      (name) =>
        `export const ${name}: [Both<contract.${name}, written.${name}>, Both<written.${name}, contract.${name}>] = [true, true];`,
    );
    writeFileSync(
      join(dir, "compare.ts"),
      `import type * as contract from "${join(ROOT, "client/src/wire.ts")}";
       import type * as written from "./written.d.ts";
       type Both<A, B> = [A] extends [B] ? true : false;
       ${pairs.join("\n")}`,
    );
    const words = ["--skipLibCheck", "--allowImportingTsExtensions"];
    expect(await complaints(join(dir, "compare.ts"), "es2024", words)).toBe("");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it("the declarations compile without any other file", async () => {
  const dir = mkdtempSync(join(tmpdir(), "failover-declarations-"));
  try {
    const text = declarations();
    expect(text).not.toContain("zod");
    writeFileSync(join(dir, "index.d.ts"), text);
    expect(await complaints(join(dir, "index.d.ts"), "es2022")).toBe("");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
