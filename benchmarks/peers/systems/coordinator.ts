import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DistributedCoordinator } from "../../../client/src/index.ts";
import { PROJECT_ROOT, startServer } from "../../../tests/support/server.ts";
import type { RunningSystem, System } from "../system.ts";
import { nodeWorker } from "./node-worker.ts";

type Job = "task" | "lock";
type Transport = "socket" | "http";

const SETTINGS = {
  socket: "agents on sockets, reconnect_grace_seconds 5 (defaults)",
  http: "heartbeats over HTTP, interval 10 s, timeout 30 s (defaults)",
} as const;

const variant = (job: Job, transport: Transport): System => ({
  name: `coordinator-${job}-${transport}`,
  settings: SETTINGS[transport],
  spreadMs: 10_000,
  limitMs: 90_000,
  start: () => start(job, transport),
});

export const coordinatorSystems: readonly System[] = [
  variant("task", "socket"),
  variant("task", "http"),
  variant("lock", "socket"),
  variant("lock", "http"),
];

async function start(job: Job, transport: Transport): Promise<RunningSystem> {
  const server = await startServer();
  const { version } = JSON.parse(readFileSync(join(PROJECT_ROOT, "package.json"), "utf8")) as {
    version: string;
  };
  const env = { FAILOVER_URL: server.url, FAILOVER_TOKEN: server.adminToken };
  const clusterOf = (cluster: string) =>
    new DistributedCoordinator({ url: server.url, token: server.adminToken, cluster });
  return {
    version: `failover-coordinator ${version}`,
    worker: (round, name) => nodeWorker("coordinator", [round, name, job, transport], env),
    async submit(round) {
      if (job === "task") await clusterOf(round).tasks.submit({ id: "task", type: "work" });
    },
    async result(round) {
      if (job === "lock") return "";
      const { status, result, late_results } = await clusterOf(round).tasks.get("task");
      return `${status} by ${JSON.stringify(result)}, late results kept: ${late_results}`;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
