import { createRequire } from "node:module";
import { Queue } from "bullmq";
import { startRedis } from "../servers.ts";
import type { RunningSystem, System } from "../system.ts";
import { nodeWorker } from "./node-worker.ts";

const { version } = createRequire(import.meta.url)("bullmq/package.json") as { version: string };

export const bullmq: System = {
  name: "bullmq",
  settings: "lock 30 s, stalled check every 30 s (defaults)",
  spreadMs: 30_000,
  limitMs: 120_000,
  start,
};

async function start(): Promise<RunningSystem> {
  const redis = await startRedis();
  const connection = { host: "127.0.0.1", port: redis.port };
  return {
    version: `BullMQ ${version}`,
    worker: (round, name) => nodeWorker("bullmq", [round, name, String(redis.port)]),
    async submit(round) {
      const queue = new Queue(round, { connection });
      await queue.add("work", {}, { jobId: "task" });
      await queue.close();
    },
    async result(round) {
      const queue = new Queue(round, { connection });
      const job = await queue.getJob("task");
      const state = await job?.getState();
      await queue.close();
      return `${state} by ${String(job?.returnvalue)}`;
    },
    [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose](),
  };
}
