/**
 * Runs a server, for `npm start` and `npm run dev`: makes the plan, starts the child process that serves, prints `ready`,
 * and at the end stops the child and all processes that it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { origin, reachable } from "./address.ts";
import { type Command, helpText, NPM_COMMANDS, readCommandLine } from "./command-line.ts";
import { type FolderLock, type Holder, holdersOf } from "./data-folder.ts";
import { firstSteps } from "./first-steps.ts";
import { EXIT_CODES, type Outcome, type Refusal, refuse } from "./outcome.ts";
import { descendantsOf, endDescendants, killDescendants, nameOf } from "./process-tree.ts";
import { type Plan, preparePlan } from "./start-plan.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

/** The child process that serves. */
export type Launch = {
  name: string;
  file: string;
  words: string[];
  env: Record<string, string | undefined>;
  /** Whether it starts processes of its own, also later. */
  hasChildren: boolean;
};

/** The plan of the start, and the lock on its data folder. */
type Prepared = { command: Command; plan: Plan; lock: FolderLock };

/**
 * How long the child may take to end by itself. The time is short on purpose: a server that drains accepts no
 * heartbeats while its alarms still run, and would declare agents failed that cannot reach it. Everything that was
 * acknowledged is on disk, so the SIGKILL that follows loses nothing.
 */
const END_LIMIT_MS: Readonly<Record<Command, number>> = { start: 0, dev: 1000 };
/** A signal to the process group also ends the child, and its end may be seen before the signal. */
const SIGNAL_LIMIT_MS = 200;
const PROCESS_LIST_INTERVAL_MS = 1000;
const PARENT_INTERVAL_MS = 250;

/** Runs the command, and ends this process with its exit code. */
export async function serve(
  command: Command,
  launchOf: (plan: Plan) => Promise<Outcome<Launch>>,
): Promise<void> {
  const asked = readCommandLine(command, process.argv.slice(2));
  if (!asked.ok) return exitWith(asked);
  if (asked.value === "help") {
    console.log(helpText(command));
    return;
  }

  // Only the owner may read files that this process and its children write.
  process.umask(0o077);
  const signal = untilAskedToEnd(command);
  const prepared = await preparePlan(command);
  if (!prepared.ok) return exitWith(prepared);
  const { plan, lock } = prepared.value;
  process.once("exit", () => {
    killDescendants(process.pid);
    lock.release();
  });

  const ended = await Promise.race([signal, run({ command, plan, lock }, launchOf)]);
  const reason = ended === "signal" ? ended : await Promise.race([signal, delay(SIGNAL_LIMIT_MS, ended)]);
  await endDescendants(process.pid, END_LIMIT_MS[command]);
  if (reason === "signal") process.exit(EXIT_CODES.ended);
  return exitWith(reason);
}

/** Resolves with the reason when the child has ended or could not be started. */
async function run(
  { command, plan, lock }: Prepared,
  launchOf: (plan: Plan) => Promise<Outcome<Launch>>,
): Promise<Refusal> {
  const launch = await launchOf(plan);
  if (!launch.ok) return launch;
  const { name, file, words, env, hasChildren } = launch.value;

  // No terminal for questions, and no pipe: the output of the child is not lost if this process ends.
  const child = spawn(file, words, { cwd: plan.root, env, stdio: ["ignore", "inherit", "inherit"] });
  const childEnded = untilEnded(child, name);
  const own = holdersOf(NPM_COMMANDS[command], process.pid);
  keepProcessesInLock(lock, own, { name, pid: child.pid ?? 0, hasChildren });

  const ready = await Promise.race([childEnded, waitUntilReady(origin(reachable(plan.address), plan.port))]);
  if (!ready.ok) return ready;
  for (const line of firstSteps(plan)) console.log(line);
  console.log(`ready ${origin(plan.settings.host, plan.port)}`);
  return childEnded;
}

/** Lists in the lock, from the start of the child on, every process that may survive this one. */
function keepProcessesInLock(
  lock: FolderLock,
  own: Holder[],
  child: { name: string; pid: number; hasChildren: boolean },
): void {
  let written = "";
  const write = () => {
    const grandchildren = descendantsOf(child.pid).map(({ pid, born }) => ({ name: nameOf(pid), pid, born }));
    const processes = [...own, ...holdersOf(child.name, child.pid), ...grandchildren];
    if (JSON.stringify(processes) === written) return;
    written = JSON.stringify(processes);
    lock.update({ processes });
  };
  write();
  if (child.hasChildren) setInterval(write, PROCESS_LIST_INTERVAL_MS).unref();
}

/**
 * Resolves at a signal, or at the end of the npm that runs this: npm sends a signal to its shell only, and most shells
 * end without sending it to their children.
 */
function untilAskedToEnd(command: Command): Promise<"signal"> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => resolve("signal"));
    if (process.env.npm_lifecycle_event !== command) return;
    const parentPid = process.ppid;
    setInterval(() => {
      if (process.ppid !== parentPid) resolve("signal");
    }, PARENT_INTERVAL_MS).unref();
  });
}

function untilEnded(child: ChildProcess, name: string): Promise<Refusal> {
  return new Promise((resolve) => {
    child.once("error", (error) =>
      resolve(refuse("failed", `${name} could not be started: ${error.message}`)),
    );
    child.once("exit", (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      resolve(refuse("failed", `${name} ended by itself, ${how}; see its last output above`));
    });
  });
}

function exitWith(refusal: Refusal): never {
  for (const line of refusal.lines) console.error(line);
  process.exit(refusal.exitCode);
}
