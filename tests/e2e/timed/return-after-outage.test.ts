/**
 * After an outage of the coordinator, waits for tasks go on, and agents over HTTP take tasks as soon as the coordinator
 * has answered them once. LONG=1 has the outage, the waits and the agents of a bad day.
 */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Agent, DistributedCoordinator } from "../../../client/src/index.ts";
import { clientSuite } from "../../support/client-suite.ts";
import { figures } from "../../support/measure.ts";
import { until } from "../../support/until.ts";

const IS_LONG = Boolean(process.env.LONG);
const OUTAGE_MS = IS_LONG ? 25_000 : 6000;
const AGENTS = 20;
const WAITS = IS_LONG ? 40 : 20;
const START_LIMIT_MS = 1500;
const TEST_LIMIT_MS = 180_000;

const suite = clientSuite("return");

type Worker = {
  agent: Agent;
  /** When each of its tasks began. */
  beganAtMs: number[];
  /** When each of its calls was answered. */
  answeredAtMs: number[];
};

/** An agent over HTTP with the shipped heartbeat settings, for one task at a time. @param work of its nth task */
async function startWorker(
  access: ReturnType<typeof suite.freshAccess>,
  id: string,
  work: (task: number) => Promise<unknown>,
) {
  const worker: Omit<Worker, "agent"> = { beganAtMs: [], answeredAtMs: [] };
  const agent = new Agent({
    ...access,
    id,
    transport: "http",
    maxConcurrentTasks: 1,
    handleSignals: false,
    fetch: async (...call) => {
      const response = await fetch(...call);
      if (response.ok) worker.answeredAtMs.push(performance.now());
      return response;
    },
  });
  agent.on("work", () => work(worker.beganAtMs.push(performance.now())));
  agent.listen("disconnected", () => {});
  await suite.keep(agent).start();
  return { agent, ...worker };
}

/** @param meanwhile called when the coordinator is down */
async function outage(meanwhile = () => {}): Promise<{ leftAtMs: number }> {
  await suite.server.kill();
  const leftAtMs = performance.now();
  meanwhile();
  // The length of the outage is the subject of the test.
  await delay(OUTAGE_MS);
  await suite.server.restart();
  return { leftAtMs };
}

const work = (id: string) => ({ id, type: "work" });

/** Until each worker began its next task: since its first answered call after the outage, and since the task was there. */
async function idleTimes(
  workers: readonly Worker[],
  { leftAtMs, submittedAtMs }: { leftAtMs: number; submittedAtMs: number },
) {
  const times = await Promise.all(
    workers.map(async ({ beganAtMs, answeredAtMs }) => {
      const began = await until(
        () => beganAtMs.find((atMs) => atMs > leftAtMs),
        "the next task to begin",
        60_000,
      );
      const answered = answeredAtMs.find((atMs) => atMs > leftAtMs) ?? Number.NaN;
      return began - Math.max(answered, submittedAtMs);
    }),
  );
  console.log(`${OUTAGE_MS} ms of outage, ${figures("from the first answer to the next task", times)}`);
  return times;
}

describe("a coordinator that was killed and is back after a while", { timeout: TEST_LIMIT_MS }, () => {
  it("every wait for a task goes on, and busy agents over HTTP start their next task at once", async () => {
    const access = suite.freshAccess();
    const coordinator = new DistributedCoordinator(access);
    const { tasks } = coordinator;
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const workers = await Promise.all(
      Array.from({ length: AGENTS }, (_, at) =>
        startWorker(access, `agent${at}`, (task) => (task === 1 ? first : second).promise),
      ),
    );
    const ids = Array.from({ length: 2 * AGENTS }, (_, at) => `task${at}`);
    await tasks.submitAll(ids.map(work));
    await until(() => workers.every(({ beganAtMs }) => beganAtMs.length === 1), "every agent to be busy");
    const waits = ids.slice(-WAITS).map((id) => tasks.wait(id, { waitSeconds: 300 }));
    const outcomes = Promise.allSettled(waits);

    const { leftAtMs } = await outage(first.resolve);

    const times = await idleTimes(workers, { leftAtMs, submittedAtMs: leftAtMs });
    second.resolve();
    expect(Math.max(...times)).toBeLessThan(START_LIMIT_MS);
    const statuses = (await outcomes).map((outcome) =>
      outcome.status === "fulfilled" ? outcome.value.status : String(outcome.reason),
    );
    expect(statuses).toEqual(waits.map(() => "completed"));
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });

  it("idle agents over HTTP start a task that is submitted then at once", async () => {
    const access = suite.freshAccess();
    const coordinator = new DistributedCoordinator(access);
    const workers = await Promise.all(
      Array.from({ length: AGENTS }, (_, at) =>
        startWorker(access, `agent${at}`, () => new Promise(() => {})),
      ),
    );
    const { leftAtMs } = await outage();
    const ids = Array.from({ length: AGENTS }, (_, at) => `task${at}`);
    await coordinator.tasks.submitAll(ids.map(work));
    const times = await idleTimes(workers, { leftAtMs, submittedAtMs: performance.now() });
    expect(Math.max(...times)).toBeLessThan(START_LIMIT_MS);
    expect(await coordinator.getFailureHistory()).toEqual([]);
  });
});
