/** A BullMQ worker with default settings: QUEUE NAME REDIS_PORT. */
import { Worker } from "bullmq";
import { argument, sayOutcome, sayReady, work } from "./worker.ts";

const name = argument(1);
const worker = new Worker(argument(0), () => work(name), {
  connection: { host: "127.0.0.1", port: Number(argument(2)) },
});
worker.on("completed", () => sayOutcome("completed"));
worker.on("failed", (_, error) => sayOutcome(`failed: ${error.message}`));
worker.on("error", (error) => sayOutcome(`error: ${error.message}`));
await worker.waitUntilReady();
sayReady();
