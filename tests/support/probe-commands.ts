/**
 * `npm start` as a process whose Worker is the probe, which shows what the product has no route for. All files that it
 * leaves are in a folder of the test file.
 */
import { cpSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { type Ended, ended } from "./ended.ts";
import { writeProbeBundle } from "./probe-bundle.ts";
import { commandEnvironment, PROJECT_ROOT, type ServerOptions, startServer } from "./server.ts";

let folder = "";
let folders = 0;

/** To be called at the top of a test file. */
export function probeOfThisFile(): void {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "failover-commands-"));
    writeProbeBundle(probe());
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
}

/** The folder of the probe's bundle. */
export const probe = () => join(folder, "probe");
export const freshFolder = () => join(folder, `folder-${++folders}`);

/** A server whose Worker is the probe. */
export const startProbe = (options: ServerOptions = {}) =>
  startServer({ ...options, env: { BUNDLE_DIR: probe(), ...options.env } });

/** A command that is expected to end without a signal. */
export function run(
  env: Record<string, string>,
  words: readonly string[] = [],
  root = PROJECT_ROOT,
): Promise<Ended> {
  const settings = { BUNDLE_DIR: probe(), DATA_DIR: freshFolder(), PORT: "0", ...env };
  return ended(process.execPath, [join(root, "scripts", "start.ts"), ...words], commandEnvironment(settings));
}

/** The run commands in a project of their own, whose files a test may change. */
export function copyProject(): string {
  const root = freshFolder();
  for (const part of ["scripts", "src", "configs", "package.json", "wrangler.toml"]) {
    cpSync(join(PROJECT_ROOT, part), join(root, part), { recursive: true });
  }
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(root, "node_modules"));
  return root;
}

export function writeConfiguration(root: string, text: string): void {
  writeFileSync(join(root, "configs", "distributed_config.json"), text);
}

export const getJson = async (url: string): Promise<unknown> => (await fetch(url)).json();
export const getText = async (url: string): Promise<string> => (await fetch(url)).text();
export const modeOf = (path: string) => statSync(path).mode & 0o777;
