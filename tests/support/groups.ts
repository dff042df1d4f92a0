/**
 * Process groups of the tests: what lives of them, how they end, and that none outlives the run that started it.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listProcesses, type Process } from "../../scripts/server/process-tree.ts";
import { until } from "./until.ts";

/**
 * The folder of a test run: data folders, and notes of the groups that run, for whoever clears up after a
 * worker of the test runner that died.
 */
const RUN_DIR_VARIABLE = "TEST_RUN_DIR";

/** A new folder, which goes with the run at the latest. @param prefix of its name */
export const temporaryFolder = (prefix: string): string =>
  mkdtempSync(join(process.env[RUN_DIR_VARIABLE] ?? tmpdir(), prefix));

/** All that lives in a process group. A zombie has ended, and may wait long to be noticed by a careless init. */
export const groupMembers = (groupId: number): Process[] =>
  groupId === 0 ? [] : listProcesses().filter((entry) => entry.groupId === groupId);

/** Resolves when no more than `left` processes of a group live. */
export async function groupEnd(groupId: number, left = 0): Promise<void> {
  await until(() => groupMembers(groupId).length <= left, "the group to end");
}

export async function killGroup(groupId: number): Promise<void> {
  const isGone = () => {
    signalGroup(groupId, "SIGKILL");
    return groupMembers(groupId).length === 0;
  };
  await until(isGone, "the group to end");
}

export function signalGroup(groupId: number, name: NodeJS.Signals): void {
  // 0 would be our own group.
  if (groupId <= 1) return;
  try {
    process.kill(-groupId, name);
  } catch {
    // All of it has ended.
  }
}

const running = new Set<number>();
process.once("exit", () => {
  for (const groupId of running) signalGroup(groupId, "SIGKILL");
});

/** Has it ended when the test run ends, however that comes. */
export function register(groupId: number): void {
  running.add(groupId);
  const note = noteOf(groupId);
  if (note !== null) writeFileSync(note, "");
}

export function unregister(groupId: number): void {
  running.delete(groupId);
  const note = noteOf(groupId);
  if (note !== null) rmSync(note, { force: true });
}

function noteOf(groupId: number): string | null {
  const runDir = process.env[RUN_DIR_VARIABLE];
  return runDir === undefined ? null : join(runDir, `${groupId}.group`);
}

/** From now on, also in workers of the test runner started later, all that processes leave lies in `runDir`. */
export function keepGroupsIn(runDir: string): void {
  process.env[RUN_DIR_VARIABLE] = runDir;
}

/** Ends what the workers of the test runner have left running. */
export async function killGroupsIn(runDir: string): Promise<void> {
  for (const name of readdirSync(runDir)) {
    if (name.endsWith(".group")) await killGroup(Number.parseInt(name, 10));
  }
}
