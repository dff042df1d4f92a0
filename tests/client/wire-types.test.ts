/** The published types of the client are equal to those of the contract. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { declarations } from "../../scripts/client/declarations.ts";
import { wireTypes } from "../../scripts/client/wire-types.ts";

const ROOT = join(import.meta.dirname, "..", "..");

it("each published type is assignable to the type of the contract, and the other way round", () => {
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
    const words = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--target",
      "es2024",
      "--module",
      "esnext",
      "--moduleResolution",
      "bundler",
      "--lib",
      "es2024,dom",
      "--skipLibCheck",
      "--allowImportingTsExtensions",
      "--types",
      "",
    ];
    const { stdout } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), [...words, join(dir, "compare.ts")], {
      encoding: "utf8",
      cwd: ROOT,
    });
    expect(stdout).toBe("");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it("the declarations compile without any other file", () => {
  const dir = mkdtempSync(join(tmpdir(), "failover-declarations-"));
  try {
    const text = declarations();
    expect(text).not.toContain("zod");
    writeFileSync(join(dir, "index.d.ts"), text);
    const words = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--target",
      "es2022",
      "--module",
      "esnext",
      "--moduleResolution",
      "bundler",
      "--lib",
      "es2022,dom",
      "--types",
      "",
    ];
    const { stdout } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), [...words, join(dir, "index.d.ts")], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
