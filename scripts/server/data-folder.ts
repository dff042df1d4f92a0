/**
 * Locks the data folder for one server: two servers on one folder would both run its alarms. `lock.json` lists the
 * processes of the server. If an orphaned process survives a `kill -9` of its parent, the folder stays locked and the
 * next start names that process. A lock without a live process is removed.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Command, NPM_COMMANDS } from "./command-line.ts";
import { done, type Outcome, refuse, systemCode } from "./outcome.ts";
import { makePrivateFolder, writePrivateFile } from "./private-file.ts";
import { findProcess, isAlive } from "./process-tree.ts";

export type Holder = { name: string; pid: number; born: string };

export type Claim = {
  command: Command;
  host: string;
  /** 0 until the port is chosen. */
  port: number;
  started_at: string;
  /** The command first, then the processes that it started. */
  processes: Holder[];
};

export type FolderLock = {
  /** Changes the content of the lock. */
  update(change: Partial<Pick<Claim, "port" | "processes">>): void;
  /** Does nothing if another process has the lock by now. */
  release(): void;
};

/** For this long, an unreadable lock may still be in its first write. */
const WRITING_LIMIT_MS = 1000;
const LOOK_INTERVAL_MS = 50;

export async function takeFolder(
  dataDir: string,
  claim: Omit<Claim, "processes">,
): Promise<Outcome<FolderLock>> {
  try {
    return await take(dataDir, claim);
  } catch (error) {
    if (systemCode(error) === null) throw error;
    const reason = error instanceof Error ? error.message : "";
    return refuse("badSettings", `DATA_DIR: ${dataDir} cannot be used: ${reason}`);
  }
}

async function take(dataDir: string, claim: Omit<Claim, "processes">): Promise<Outcome<FolderLock>> {
  makePrivateFolder(dataDir);
  const path = join(dataDir, "lock.json");
  const own: Claim = { ...claim, processes: holdersOf(NPM_COMMANDS[claim.command], process.pid) };

  while (!createOnce(path, own)) {
    const found = readText(path);
    if (found === null) continue;
    const existing = parseClaim(found);
    if (existing === null && isFresh(path)) {
      await delay(LOOK_INTERVAL_MS);
      continue;
    }
    const holders = existing?.processes.filter(isAlive) ?? [];
    if (existing !== null && holders.length > 0) return inUse(dataDir, existing, holders);
    removeStale(path, found);
  }

  let current = own;
  return done({
    update(change) {
      current = { ...current, ...change };
      writePrivateFile(path, textOf(current));
    },
    release() {
      if (readText(path) === textOf(current)) rmSync(path, { force: true });
    },
  });
}

/** A process as an entry of the lock; none if the process has ended. */
export function holdersOf(name: string, pid: number): Holder[] {
  const found = findProcess(pid);
  return found === null ? [] : [{ name, pid, born: found.born }];
}

function inUse(dataDir: string, claim: Claim, holders: readonly Holder[]): Outcome<never> {
  const name = NPM_COMMANDS[claim.command];
  const command = holders.find((holder) => holder.name === name);
  // The command ends its children itself. Without the command, each orphan must be ended.
  const toEnd = command === undefined ? holders : [command];
  const first = toEnd.map((holder) => `${holder.name} (pid ${holder.pid})`).join(", ");
  const orphaned = command === undefined ? `, left over from ${name}` : "";
  const port = claim.port === 0 ? "" : ` on port ${claim.port}`;
  return refuse(
    "inUse",
    `data folder ${dataDir} is in use by ${first}${port}${orphaned}, started at ${claim.started_at}; ` +
      `end it with kill ${toEnd.map((holder) => holder.pid).join(" ")}, or choose another DATA_DIR`,
  );
}

/** False if there is a lock already. */
function createOnce(path: string, claim: Claim): boolean {
  let file: number;
  try {
    file = openSync(path, "wx", 0o600);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
  try {
    writeFileSync(file, textOf(claim));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return true;
}

/**
 * Two starts may find the same stale lock, and the slower one must not remove the new lock of the faster one. So the
 * lock is moved aside, compared, and moved back if it is not the stale one.
 */
function removeStale(path: string, found: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  if (readText(aside) === found) rmSync(aside, { force: true });
  else renameSync(aside, path);
}

const textOf = (claim: Claim) => `${JSON.stringify(claim, null, 2)}\n`;

/** Null if there is no such file. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}

function isFresh(path: string): boolean {
  try {
    return Date.now() - statSync(path).mtimeMs < WRITING_LIMIT_MS;
  } catch {
    return true;
  }
}

function parseClaim(text: string): Claim | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isClaim(value) ? value : null;
}

function isClaim(value: unknown): value is Claim {
  if (typeof value !== "object" || value === null) return false;
  const claim = value as Partial<Record<keyof Claim, unknown>>;
  return (
    (claim.command === "start" || claim.command === "dev") &&
    typeof claim.port === "number" &&
    typeof claim.started_at === "string" &&
    Array.isArray(claim.processes) &&
    claim.processes.every(isHolder)
  );
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== "object" || value === null) return false;
  const holder = value as Partial<Record<keyof Holder, unknown>>;
  return typeof holder.name === "string" && typeof holder.pid === "number" && typeof holder.born === "string";
}
