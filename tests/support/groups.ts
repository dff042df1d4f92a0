/**
 * Process groups of the tests: which processes of them are alive, how they end, and that none outlives its run.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descendantsOf, listProcesses, type Process } from "../../scripts/server/process-tree.ts";
import { until } from "./until.ts";

/**
 * The folder of a test run: data folders, and notes of the running groups for the process that cleans up after a
 * crashed worker of the test runner.
 */
const RUN_DIR_VARIABLE = "TEST_RUN_DIR";

/** A new folder, which is removed with the run at the latest. @param prefix of its name */
export const temporaryFolder = (prefix: string): string =>
  mkdtempSync(join(process.env[RUN_DIR_VARIABLE] ?? tmpdir(), prefix));

/** The live processes of a group. A zombie has ended, although its parent may not have noticed yet. */
export const groupMembers = (groupId: number): Process[] =>
  groupId === 0 ? [] : listProcesses().filter((entry) => entry.groupId === groupId);

/** Resolves when at most `left` processes of a group are alive. */
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

/** Ends the group when the test run ends, also after a crash. */
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

/** From now on all files that processes leave are in `runDir`, also those of workers started later. */
export function keepGroupsIn(runDir: string): void {
  process.env[RUN_DIR_VARIABLE] = runDir;
}

/** Ends what the workers of the test runner have left running. */
export async function killGroupsIn(runDir: string): Promise<void> {
  for (const groupId of groupsIn(runDir)) await killGroup(groupId);
}

/** As the end of a run, in the moment that is left after a signal: ends all processes of the run and removes its files. */
export function endRunAtOnce(runDir: string): void {
  // Parents first, so that none starts another process.
  for (const { pid } of descendantsOf(process.pid)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
  for (const groupId of groupsIn(runDir)) signalGroup(groupId, "SIGKILL");
  rmSync(runDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

const groupsIn = (runDir: string): number[] =>
  readdirSync(runDir)
    .filter((name) => name.endsWith(".group"))
    .map((name) => Number.parseInt(name, 10));
