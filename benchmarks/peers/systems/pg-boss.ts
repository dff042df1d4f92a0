import { createRequire } from "node:module";
import { PgBoss } from "pg-boss";
import { startPostgres } from "../servers.ts";
import type { RunningSystem, System } from "../system.ts";
import { nodeWorker } from "./node-worker.ts";

const { version } = createRequire(import.meta.url)("pg-boss/package.json") as { version: string };

/** The same timeout as ours. */
const HEARTBEAT_SECONDS = 30;

export const pgBoss: System = {
  name: "pg-boss",
  settings: "jobs expire after 15 min, supervised every 60 s (defaults)",
  spreadMs: 60_000,
  limitMs: 20 * 60_000,
  start: () => start({}),
};

export const pgBossHeartbeat: System = {
  name: "pg-boss-heartbeat",
  settings: `heartbeatSeconds ${HEARTBEAT_SECONDS} on the queue, supervised every 60 s (default)`,
  spreadMs: 60_000,
  limitMs: 180_000,
  start: () => start({ heartbeatSeconds: HEARTBEAT_SECONDS }),
};

async function start(options: { heartbeatSeconds?: number }): Promise<RunningSystem> {
  const postgres = await startPostgres();
  const url = `postgres://postgres@127.0.0.1:${postgres.port}/postgres`;
  // This client only submits and reads; the workers supervise.
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  const ids = new Map<string, string>();
  const createQueue = async (round: string) => {
    await boss.createQueue(round, options);
  };
  return {
    version: `pg-boss ${version}`,
    worker: (round, name) => nodeWorker("pg-boss", [round, name, url]),
    prepare: createQueue,
    async submit(round) {
      const id = await boss.send(round, {});
      if (id === null) throw new Error("the job was not accepted");
      ids.set(round, id);
    },
    async result(round) {
      const [job] = await boss.findJobs(round, { id: ids.get(round) ?? "" });
      return `${job?.state} by ${JSON.stringify(job?.output)}`;
    },
    async [Symbol.asyncDispose]() {
      await boss.stop({ graceful: false });
      await postgres[Symbol.asyncDispose]();
    },
  };
}
