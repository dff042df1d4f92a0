/**
 * Which processes live, who started whom, and how to end a family so that nobody is left over.
 * A pid alone says little, since it is given out again: a process is its pid and its birth.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export type Process = {
  pid: number;
  parentPid: number;
  groupId: number;
  /** By SIGSTOP: it lives and does nothing. */
  stopped: boolean;
  /** When it was started, comparable for equality only; survives neither a reboot nor a new process. */
  born: string;
};

/** How often it is looked whether processes are gone: they are not our children, so nobody tells us. */
const LOOK_INTERVAL_MS = 20;
/** SIGKILL needs no consent: whoever is there after this is stuck in the kernel. */
const KILL_LIMIT_MS = 2000;

const onLinux = process.platform === "linux";

/** All processes that still run; a zombie has ended and only waits to be asked about it. */
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

/** What it is called by the file it runs: a thread may have given its process any other name. */
export function nameOf(pid: number): string {
  if (!onLinux)
    return basename(execFileSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" }).trim());
  try {
    return basename(readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0] ?? "");
  } catch {
    return "";
  }
}

/** Whether that very process still runs, and not a later one with its pid. */
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
 * Asks the children of `pid` to end, which tell their own, and after `graceMs` ends by force whoever
 * is left of the whole family. Resolves when none is.
 */
export async function endDescendants(pid: number, graceMs: number): Promise<void> {
  let family = descendantsOf(pid);
  for (const child of family.filter((entry) => entry.parentPid === pid)) signal(child.pid, "SIGTERM");

  const lookAgain = () => {
    // Who lost its parent is no descendant any more, and who was just born was none before.
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

/** For the last moment of a process, when nothing can be waited for. */
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
    // It has ended in the meantime.
  }
}

function readProc(pid: number): Process | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // proc(5): pid (name) state ppid pgrp …, the start time being field 22. The name may hold anything.
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

/** Start times count from the boot, and small machines boot alike. */
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
