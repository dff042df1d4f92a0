/**
 * Set-up of a test run with servers: the Worker is bundled once for all of them (`BUNDLE_DIR`), and Node compiles the
 * programs once for all processes. At the end no server is left over, even if the worker of the test runner that
 * started it died, or if the run itself gets SIGTERM or SIGINT.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle } from "../../scripts/server/bundle.ts";
import { endRunAtOnce, keepGroupsIn, killGroupsIn } from "./groups.ts";
import { PROJECT_ROOT } from "./server.ts";

const runDir = mkdtempSync(join(tmpdir(), "failover-test-run-"));

/** What most processes of the tests run. A process that is killed leaves nothing in the cache, so these run once. */
const PROGRAMS = [
  ["scripts/start.ts", "--help"],
  ["client/src/index.ts"],
  ["client/src/cli.ts", "--help"],
] as const;

/** After a signal the test runner exits without a tear-down. */
const onExit = () => endRunAtOnce(runDir);

export async function setup(): Promise<void> {
  process.once("exit", onExit);
  keepGroupsIn(runDir);
  compileOnce();
  if (process.env.BUNDLE_DIR) return;
  const bundle = await buildBundle(PROJECT_ROOT, join(runDir, "bundle"), join(runDir, "logs"));
  if (!bundle.ok) throw new Error(bundle.lines.join("\n"));
  process.env.BUNDLE_DIR = bundle.value.dir;
}

/** Without it, the start of a server takes half as long again. */
function compileOnce(): void {
  if (process.env.NODE_COMPILE_CACHE) return;
  process.env.NODE_COMPILE_CACHE = join(runDir, "compiled");
  for (const words of PROGRAMS) execFileSync(process.execPath, words, { cwd: PROJECT_ROOT, stdio: "ignore" });
}

export async function teardown(): Promise<void> {
  process.off("exit", onExit);
  await killGroupsIn(runDir);
  rmSync(runDir, { recursive: true, force: true });
}
