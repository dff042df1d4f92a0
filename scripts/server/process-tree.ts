/**
 * Lists processes and their descendants, and ends all descendants of a process. Pids are reused, so a process is
 * identified by its pid and its start time.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export type Process = {
  pid: number;
  parentPid: number;
  groupId: number;
  /** Stopped by SIGSTOP. */
  stopped: boolean;
  /** Start time, for comparison only. It differs after a reboot and for another process with the same pid. */
  born: string;
};

/** Grandchildren send no signal to this process when they end, so it polls. */
const LOOK_INTERVAL_MS = 20;
/** A process that survives SIGKILL for this long hangs in the kernel. */
const KILL_LIMIT_MS = 2000;

const onLinux = process.platform === "linux";

/** All running processes. A zombie has ended and does not count. */
export function listProcesses(): Process[] {
  if (!onLinux) return listWithPs();
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProc(Number(name)))
    .filter((entry) => entry !== null);
}

export function findProcess(pid: number): Process | null {
  if (onLinux) return readProc(pid);
  return listWithPs().find((entry) => entry.pid === pid) ?? null;
}

/** The name of the file that the process runs. A process can change its other name. */
export function nameOf(pid: number): string {
  if (!onLinux)
    return basename(execFileSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" }).trim());
  try {
    return basename(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] ?? "");
  } catch {
    return "";
  }
}

/** Whether this process runs, and not a later one with the same pid. */
export const isAlive = (process: { pid: number; born: string }): boolean =>
  findProcess(process.pid)?.born === process.born;

/** Children before grandchildren. */
export function descendantsOf(pid: number, all: readonly Process[] = listProcesses()): Process[] {
  const family: Process[] = [];
  let parents = new Set([pid]);
  while (parents.size > 0) {
    const children = all.filter((entry) => parents.has(entry.parentPid));
    family.push(...children);
    parents = new Set(children.map((entry) => entry.pid));
  }
  return family;
}

/**
 * Sends SIGTERM to the children of `pid`, which end their own children, and after `graceMs` SIGKILL to all descendants
 * that are left. Resolves when none is left.
 */
export async function endDescendants(pid: number, graceMs: number): Promise<void> {
  let family = descendantsOf(pid);
  for (const child of family.filter((entry) => entry.parentPid === pid)) signal(child.pid, "SIGTERM");

  const lookAgain = () => {
    // A process whose parent has ended is no descendant any more, and new ones may have started.
    const all = listProcesses();
    const lives = new Set(all.map(identity));
    const left = family.filter((entry) => lives.has(identity(entry)));
    const known = new Set(left.map(identity));
    family = [...left, ...descendantsOf(pid, all).filter((entry) => !known.has(identity(entry)))];
    return family.length === 0;
  };
  if (await within(graceMs, lookAgain)) return;
  await within(KILL_LIMIT_MS, () => {
    for (const entry of family) signal(entry.pid, "SIGKILL");
    return lookAgain();
  });
}

/** For the exit of this process, which cannot wait. */
export function killDescendants(pid: number): void {
  for (const entry of descendantsOf(pid)) signal(entry.pid, "SIGKILL");
}

const identity = (process: Process) => `${process.pid} ${process.born}`;

async function within(limitMs: number, isSo: () => boolean): Promise<boolean> {
  const untilMs = performance.now() + limitMs;
  while (!isSo()) {
    if (performance.now() >= untilMs) return false;
    await delay(LOOK_INTERVAL_MS);
  }
  return true;
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has ended in between.
  }
}

function readProc(pid: number): Process | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // proc(5): pid (name) state ppid pgrp …, the start time being field 22. The name may contain any character.
  const [state, parentPid, groupId, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTicks = rest[16];
  if (state === undefined || startTicks === undefined || state === "Z" || state === "X") return null;
  return {
    pid,
    parentPid: Number(parentPid),
    groupId: Number(groupId),
    stopped: state === "T",
    born: `${bootId()}/${startTicks}`,
  };
}

let knownBootId: string | null = null;

/** Start times count from the boot, and two boots of a small machine can have the same ones. */
function bootId(): string {
  knownBootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return knownBootId;
}

function listWithPs(): Process[] {
  const columns = "pid=,ppid=,pgid=,state=,lstart=";
  const rows = execFileSync("ps", ["-A", "-o", columns], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return rows.split("\n").flatMap((row) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S.*\S)\s*$/.exec(row);
    const [, pid, parentPid, groupId, state, born] = match ?? [];
    if (state === undefined || born === undefined || state.startsWith("Z")) return [];
    return [
      {
        pid: Number(pid),
        parentPid: Number(parentPid),
        groupId: Number(groupId),
        stopped: state.startsWith("T"),
        born,
      },
    ];
  });
}
