/** The two experiments: a worker that is killed, and a worker that is paused and completes its task late. */
import { setTimeout as delay } from "node:timers/promises";
import { FINISH, OUTCOME, READY, type RunningSystem, STARTED, type System } from "./system.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Limit for the start of a process on a busy machine. */
const START_LIMIT_MS = 60_000;
/** Time after a late completion for the answer of the system to arrive. */
const SETTLE_MS = 3_000;

/** One worker works and one waits. @returns both; disposing the pair ends them */
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
 * @param phase 0 to 1: the part of the system's slowest period at which the worker is killed
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

export type LateCompletion = { answersToFirst: string; stored: string };

/** The first worker is stopped until the second has started its task, then continues and completes. */
export async function lateCompletion(
  system: System,
  running: RunningSystem,
  round: string,
): Promise<LateCompletion> {
  await using pair = await twoWorkers(running, round);
  pair.first.signal("SIGSTOP");
  await pair.second.line(STARTED, system.limitMs);
  pair.first.signal("SIGCONT");
  pair.first.write(FINISH);
  await delay(SETTLE_MS);
  pair.second.write(FINISH);
  await delay(SETTLE_MS);
  const answers = pair.first.linesWith(OUTCOME).map((line) => line.slice(OUTCOME.length));
  return {
    answersToFirst: answers.length === 0 ? "nothing" : answers.join("; "),
    stored: (await running.result?.(round)) ?? "",
  };
}
