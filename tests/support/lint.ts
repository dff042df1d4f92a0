/** Runs the linter, with the rules of this project, on files that a test makes up. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const BIOME = join(ROOT, "node_modules/@biomejs/biome/bin/biome");

/** For one run; on a busy machine it takes seconds. */
export const LINT_TIMEOUT_MS = 60_000;

export type LintFinding = { readonly rule: string; readonly message: string };

/**
 * @param files text by path, as in the project: rules depend on folders
 * @param cloneName of the folder of the project
 * @returns findings by path; a path without findings has an empty list
 */
export function lintFiles(
  files: Readonly<Record<string, string>>,
  cloneName = "project",
): Map<string, LintFinding[]> {
  const root = mkdtempSync(join(tmpdir(), "failover-lint-"));
  const folder = join(root, cloneName);
  try {
    mkdirSync(folder);
    for (const name of ["biome.json", "lint"]) {
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    }
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), `${text}\n`);
    }
    const words = ["lint", "--vcs-enabled=false", "--max-diagnostics=none", "--reporter=github", "."];
    const { stdout } = spawnSync(process.execPath, [BIOME, ...words], { cwd: folder, encoding: "utf8" });
    const findings = new Map<string, LintFinding[]>(Object.keys(files).map((path) => [path, []]));
    for (const [, rule = "", file = "", message = ""] of stdout.matchAll(
      /^::error title=([^,]*),file=([^,]*),.*?::(.*)$/gm,
    )) {
      const path = Object.keys(files).find((one) => file.endsWith(`/${one}`)) ?? file;
      findings.set(path, [...(findings.get(path) ?? []), { rule, message }]);
    }
    return findings;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
