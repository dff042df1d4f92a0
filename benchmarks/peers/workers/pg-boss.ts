/** A pg-boss worker with default settings: QUEUE NAME CONNECTION_STRING. */
import { PgBoss } from "pg-boss";
import { argument, sayOutcome, sayReady, work } from "./worker.ts";

const name = argument(1);
const boss = new PgBoss(argument(2));
boss.on("error", (error) => sayOutcome(`error: ${error.message}`));
boss.on("warning", ({ message }) => sayOutcome(`warning: ${message}`));
await boss.start();
await boss.work(argument(0), async ([job]) => {
  job?.signal.addEventListener("abort", () => sayOutcome(`aborted: ${String(job.signal.reason)}`));
  return work({ by: name });
});
sayReady();
