/**
 * The runtimes that are tested beside the one that runs the tests. Each is taken from this machine; the complete
 * check
 * (`CI`) installs the missing ones, a developer's run skips them.
 */
import { execFileSync } from "node:child_process";
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const MAY_INSTALL = process.env.CI === "true";

/** For a download over a slow connection. */
const INSTALL_LIMIT_MS = 300_000;

/** The programs of that name, in the order of the path. */
function onPath(name: string): string[] {
  return (process.env.PATH ?? "").split(delimiter).flatMap((dir) => {
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      return [];
    }
  });
}

/** @returns whether the command succeeded; its output is shown if it did not */
function attempt(command: string, words: readonly string[]): boolean {
  try {
    execFileSync(command, words, { stdio: "pipe", timeout: INSTALL_LIMIT_MS });
    return true;
  } catch (error) {
    console.warn(String(error).slice(0, 500));
    return false;
  }
}

/** A Node of that major version. @param root where it may be installed, in a folder of its own */
export function nodeOf(major: number, root: string): string | null {
  const isIt = (file: string) =>
    execFileSync(file, ["--version"], { encoding: "utf8" }).startsWith(`v${major}.`);
  const found = onPath("node").find(isIt);
  return found ?? (MAY_INSTALL ? install("node", { version: String(major), root }) : null);
}

/** A runtime that npm has as a package of its name. @param root where it may be installed, in a folder of its own */
export function fromNpm(name: "deno" | "bun", root: string): string | null {
  const [found] = onPath(name);
  return found ?? (MAY_INSTALL ? install(name, { version: "latest", root }) : null);
}

function install(name: string, { version, root }: { version: string; root: string }): string | null {
  const dir = join(root, name);
  const words = ["install", "--prefix", dir, "--no-audit", "--no-fund", "--loglevel", "error"];
  const file = join(dir, "node_modules", ".bin", name);
  // Its script fetches the program for this platform if the registry did not deliver it; without either it does not
  // run.
  const allowed = JSON.stringify({ private: true, allowScripts: { [name]: true } });
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "package.json"), allowed);
  return attempt("npm", [...words, `${name}@${version}`]) && attempt(file, ["--version"]) ? file : null;
}

/** A browser that runs without a screen. */
export function chromium(): string | null {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const found = () => names.flatMap(onPath)[0] ?? null;
  const isRoot = process.getuid?.() === 0;
  if (found() !== null || !MAY_INSTALL || !isRoot || onPath("apt-get").length === 0) return found();
  const install = () => attempt("apt-get", ["install", "-y", "--no-install-recommends", "chromium"]);
  if (!install() && attempt("apt-get", ["update"])) install();
  return found();
}
