/** The two experiments: a worker that is killed, and a worker that is paused and completes its task late. */
import { setTimeout as delay } from "node:timers/promises";
import { FINISH, OUTCOME, READY, type RunningSystem, STARTED, type System } from "./system.ts";
import { WorkerProcess } from "./worker-process.ts";

/** For a process to start on a busy machine. */
const START_LIMIT_MS = 60_000;
/** After a late completion, for what the system says to arrive. */
const SETTLE_MS = 3_000;

/** One worker works and one waits. @returns what ends both */
async function twoWorkers(running: RunningSystem, round: string) {
  await running.prepare?.(round);
  const stack = new AsyncDisposableStack();
  const first = stack.use(new WorkerProcess(running.worker(round, "first")));
  await first.line(READY, START_LIMIT_MS);
  await running.submit(round);
  await first.line(STARTED, START_LIMIT_MS);
  const second = stack.use(new WorkerProcess(running.worker(round, "second")));
  await second.line(READY, START_LIMIT_MS);
  return { first, second, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/**
 * Seconds from `kill -9` of the worker until the other one starts the same task, or holds the same lock.
 * @param phase 0 to 1: at which part of the system's slowest period the worker dies
 */
export async function secondsAfterDeath(
  system: System,
  running: RunningSystem,
  round: string,
  phase: number,
): Promise<number> {
  await using pair = await twoWorkers(running, round);
  await delay(phase * system.spreadMs);
  const killedAtMs = performance.now();
  pair.first.signal("SIGKILL");
  const { atMs } = await pair.second.line(STARTED, system.limitMs);
  return (atMs - killedAtMs) / 1000;
}

export type LateCompletion = { firstWasTold: string; stored: string };

/** The first worker stands still until the second has started its task, then goes on and completes. */
export async function lateCompletion(
  system: System,
  running: RunningSystem,
  round: string,
): Promise<LateCompletion> {
  await using pair = await twoWorkers(running, round);
  pair.first.signal("SIGSTOP");
  await pair.second.line(STARTED, system.limitMs);
  pair.first.signal("SIGCONT");
  pair.first.tell(FINISH);
  await delay(SETTLE_MS);
  pair.second.tell(FINISH);
  await delay(SETTLE_MS);
  const told = pair.first.linesWith(OUTCOME).map((line) => line.slice(OUTCOME.length));
  return {
    firstWasTold: told.length === 0 ? "nothing" : told.join("; "),
    stored: (await running.result?.(round)) ?? "",
  };
}
