/**
 * Checks the language of every text in the repository, the names of files included: `npm run check:words`. Prints a line
 * for each finding, with what to write instead, and ends with 1 if there are any.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EXCEPTIONS, type Exception } from "./exceptions.ts";
import { type Finding, findHabits, type Kind } from "./habits.ts";

const ROOT = join(import.meta.dirname, "../..");
const TEXTS = /\.(?:md|ts|js|mjs|sh|py|toml|ya?ml)$|^\.ci\/run$/;
const LISTING_LIMIT_BYTES = 16 * 1024 * 1024;

/** A finding in a file; line 0 is the name of the file. */
export type FileFinding = Finding & { readonly path: string };

const kindOf = (path: string): Kind => (path.endsWith(".md") ? "markdown" : "code");

export function findingsIn(path: string, text: string): FileFinding[] {
  const inName = findHabits(path, "code").map((finding) => ({ ...finding, line: 0 }));
  return [...inName, ...findHabits(text, kindOf(path))].map((finding) => ({ path, ...finding }));
}

const covers = ({ path, words }: Exception, finding: FileFinding) =>
  path === finding.path && (words === undefined || words.includes(finding.words));

/** @returns the findings that no exception covers, and what the exceptions allow without need */
export function withExceptions(findings: readonly FileFinding[], exceptions: readonly Exception[]) {
  return {
    findings: findings.filter((finding) => !exceptions.some((exception) => covers(exception, finding))),
    unused: exceptions.flatMap(({ path, words }) => {
      const found = findings.filter((finding) => finding.path === path);
      if (words === undefined) return found.length === 0 ? [{ path, words: "finding" }] : [];
      return words
        .filter((one) => !found.some((finding) => finding.words === one))
        .map((one) => ({ path, words: `"${one}"` }));
    }),
  };
}

/** Files that git tracks, or would if they were added. */
function texts(): string[] {
  const listing = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: LISTING_LIMIT_BYTES,
  });
  return listing.split("\0").filter((path) => TEXTS.test(path) && existsSync(join(ROOT, path)));
}

if (import.meta.main) {
  const all = texts().flatMap((path) => findingsIn(path, readFileSync(join(ROOT, path), "utf8")));
  const { findings, unused } = withExceptions(all, EXCEPTIONS);
  for (const { path, line, words, instead } of findings) {
    console.log(`${path}${line === 0 ? "" : `:${line}`}: "${words}": write ${instead}`);
  }
  for (const { path, words } of unused) {
    console.log(`scripts/check/exceptions.ts: ${path} has no ${words}: remove the exception`);
  }
  if (findings.length + unused.length > 0) {
    console.log(`${findings.length} findings in ${new Set(findings.map(({ path }) => path)).size} files`);
    process.exitCode = 1;
  }
}
