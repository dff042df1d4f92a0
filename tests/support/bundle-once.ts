/**
 * Set-up of a test run with servers: the Worker is bundled once for all of them (`BUNDLE_DIR`), and at the end no
 * server
 * is left running, even if the test runner's worker that started it crashed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle } from "../../scripts/server/bundle.ts";
import { keepGroupsIn, killGroupsIn } from "./groups.ts";
import { PROJECT_ROOT } from "./server.ts";

const runDir = mkdtempSync(join(tmpdir(), "failover-test-run-"));

export async function setup(): Promise<void> {
  keepGroupsIn(runDir);
  if (process.env.BUNDLE_DIR) return;
  const bundle = await buildBundle(PROJECT_ROOT, join(runDir, "bundle"), join(runDir, "logs"));
  if (!bundle.ok) throw new Error(bundle.lines.join("\n"));
  process.env.BUNDLE_DIR = bundle.value.dir;
}

export async function teardown(): Promise<void> {
  await killGroupsIn(runDir);
  rmSync(runDir, { recursive: true, force: true });
}
