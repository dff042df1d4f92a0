import { execFileSync } from "node:child_process";
import { startEtcd } from "../servers.ts";
import { READY, type RunningSystem, STARTED, type System } from "../system.ts";

export const etcd: System = {
  name: "etcd",
  settings: "etcdctl lock, TTL 10 s (default)",
  spreadMs: 10_000,
  limitMs: 60_000,
  start,
};

async function start(): Promise<RunningSystem> {
  const server = await startEtcd();
  const [version = ""] = execFileSync("etcd", ["--version"], { encoding: "utf8" }).split("\n");
  return {
    version: version.replace("etcd Version:", "etcd"),
    worker: (round) => ({
      program: "sh",
      // etcdctl prints the key when it holds the lock; until it is killed it renews.
      words: ["-c", `echo ${READY}; exec etcdctl lock ${round} | sed -u 's/^/${STARTED} /'`],
      env: { ETCDCTL_API: "3", ETCDCTL_ENDPOINTS: `http://127.0.0.1:${server.port}` },
    }),
    submit: async () => {},
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
