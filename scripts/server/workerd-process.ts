/**
 * The life of a server, the same for `npm start` and `npm run dev`: check everything, claim the data
 * folder, start the one child, say `ready`, and end it with all it started, whoever ends first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { origin, reachable } from "./address.ts";
import { type Command, helpText, NPM_COMMANDS, readCommandLine } from "./command-line.ts";
import { type FolderLock, type Holder, holdersOf } from "./data-folder.ts";
import { EXIT_CODES, type Outcome, type Refusal, refuse } from "./exit-codes.ts";
import { descendantsOf, endDescendants, killDescendants, nameOf } from "./process-tree.ts";
import { type Plan, preparePlan } from "./start-checks.ts";
import { untilHealthy } from "./wait-until-ready.ts";

/** The child that serves. */
export type Launch = {
  name: string;
  file: string;
  words: string[];
  env: Record<string, string | undefined>;
  /** Whether it starts processes of its own, and others as time goes by. */
  hasChildren: boolean;
};

/** What the checks before the start have found and claimed. */
type Prepared = { command: Command; plan: Plan; lock: FolderLock };

/** From start to the first answer; workerd takes well under a second, `wrangler dev` some seconds. */
const READY_LIMIT_MS = 30_000;
/**
 * How long the child may take to end by itself. Short on purpose: a server that drains takes no more
 * heartbeats while its alarms go on, and would fail agents that cannot reach it. Whatever was
 * acknowledged is on disk, so the force that follows loses nothing.
 */
const END_LIMIT_MS: Readonly<Record<Command, number>> = { start: 0, dev: 1000 };
/** A signal to the whole group ends the child too, which may be known before our own signal is. */
const SIGNAL_LIMIT_MS = 200;
const FAMILY_INTERVAL_MS = 1000;
const PARENT_INTERVAL_MS = 250;

/** Runs the command, and ends this process with its exit code. */
export async function serve(
  command: Command,
  launchOf: (plan: Plan) => Promise<Outcome<Launch>>,
): Promise<void> {
  const wish = readCommandLine(command, process.argv.slice(2));
  if (!wish.ok) return exitWith(wish);
  if (wish.value === "help") {
    console.log(helpText(command));
    return;
  }

  // What this and its children write is nobody else's business.
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

/** Resolves only when there is nothing to run any more, with the reason. */
async function run(
  { command, plan, lock }: Prepared,
  launchOf: (plan: Plan) => Promise<Outcome<Launch>>,
): Promise<Refusal> {
  const launch = await launchOf(plan);
  if (!launch.ok) return launch;
  const { name, file, words, env, hasChildren } = launch.value;

  // No terminal to ask on, and no pipe in between: what the child says is out even if we are not there.
  const child = spawn(file, words, { cwd: plan.root, env, stdio: ["ignore", "inherit", "inherit"] });
  const childEnded = untilEnded(child, name);
  const own = holdersOf(NPM_COMMANDS[command], process.pid);
  keepFamilyInLock(lock, own, { name, pid: child.pid ?? 0, hasChildren });

  const ready = await Promise.race([
    childEnded,
    untilHealthy(origin(reachable(plan.address), plan.port), READY_LIMIT_MS),
  ]);
  if (!ready.ok) return ready;
  if (plan.signInToken !== null) {
    console.log(`sign in: ${origin(reachable(plan.settings.host), plan.port)}/#token=${plan.signInToken}`);
  }
  console.log(`ready ${origin(plan.settings.host, plan.port)}`);
  return childEnded;
}

/** The lock has to name whoever may outlive us, from the child's first moment on. */
function keepFamilyInLock(
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
  if (child.hasChildren) setInterval(write, FAMILY_INTERVAL_MS).unref();
}

/**
 * By a signal, or by the end of the npm that runs this: npm passes signals on to its shell alone, and
 * most shells die of them without a word to their children.
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
      resolve(refuse("failed", `${name} ended by itself, ${how}; what it said last stands above`));
    });
  });
}

function exitWith(refusal: Refusal): never {
  for (const line of refusal.lines) console.error(line);
  process.exit(refusal.exitCode);
}
