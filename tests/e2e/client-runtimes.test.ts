/** The published client in every runtime that it promises: the oldest Node, Deno, Bun, a browser, a Worker. */
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DistributedCoordinator } from "../../client/src/index.ts";
import { buildClient } from "../../scripts/client-build.ts";
import { temporaryFolder } from "../support/groups.ts";
import { ProcessGroup } from "../support/process-group.ts";
import { chromium, fromNpm, nodeOf } from "../support/runtimes/found.ts";
import { PROJECT_ROOT, type Server, startServer } from "../support/server.ts";
import { until } from "../support/until.ts";

/** The client, and the programs that use it. */
const dir = temporaryFolder("failover-runtimes-");
/** Runtimes that this run has installed. */
const installed = temporaryFolder("failover-installed-");
const PROGRAMS = join(PROJECT_ROOT, "tests", "support", "runtimes");

const NODE_22 = nodeOf(22, installed);
const DENO = fromNpm("deno", installed);
const BUN = fromNpm("bun", installed);
const CHROMIUM = chromium();

/** The origin of the pages, which differs from the coordinator's. */
const pages = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://pages");
  if (pathname === "/") {
    response.setHeader("Content-Type", "text/html");
    response.end('<script type="module" src="/agent.js"></script>');
  } else if (pathname === "/agent.js" || pathname === "/index.js") {
    response.setHeader("Content-Type", "text/javascript");
    response.end(readFileSync(join(dir, pathname)));
  } else response.writeHead(404).end();
});

let server: Server;

beforeAll(async () => {
  await buildClient(dir);
  for (const name of ["agent.js", "worker.js"]) copyFileSync(join(PROGRAMS, name), join(dir, name));
  writeFileSync(join(dir, "package.json"), '{ "type": "module" }');
  pages.listen(0, "127.0.0.1");
  await once(pages, "listening");
  server = await startServer({ env: { CORS_ORIGINS: `https://elsewhere.example.org,${originOfPages()}` } });
});
afterAll(async () => {
  pages.close();
  await server?.[Symbol.asyncDispose]();
  for (const each of [dir, installed]) rmSync(each, { recursive: true, force: true });
});

const originOfPages = () => `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;

type Settings = { url: string; token: string; cluster: string; id: string };

const access = (cluster: string) => ({ url: server.url, token: server.adminToken, cluster });

/** A cluster with one agent of the runtime. */
async function begin(name: string, start: (settings: Settings) => ProcessGroup) {
  const group = start({ ...access(name), id: name });
  const coordinator = new DistributedCoordinator(access(name));
  const isThere = async () => (await coordinator.getClusterStatus()).active_agents === 1;
  try {
    await until(isThere, `${name} is registered`, 30_000);
  } catch (error) {
    await group[Symbol.asyncDispose]();
    throw new Error(`${error}; it said:\n${group.output()}`);
  }
  return { group, coordinator };
}

const script = (command: string, ...words: string[]) => {
  return (settings: Settings) =>
    new ProcessGroup(command, [...words, join(dir, "agent.js"), JSON.stringify(settings)], {
      cwd: dir,
      env: process.env,
    });
};

const page = (command: string) => (settings: Settings) => {
  const profile = mkdtempSync(join(dir, "profile-"));
  const address = `${originOfPages()}/?${new URLSearchParams(settings)}`;
  const words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const quiet = ["--no-first-run", "--disable-background-networking", `--user-data-dir=${profile}`];
  return new ProcessGroup(command, [...words, ...quiet, "--enable-logging=stderr", address], {
    cwd: dir,
    env: process.env,
  });
};

describe.each([
  {
    runtime: "Node 22, the oldest that is promised",
    name: "node22",
    start: NODE_22 && script(NODE_22),
    says: /Node\.js\/22/,
    transport: "socket",
    death: "connection_lost",
  },
  {
    runtime: "Node without WebSocket",
    name: "bare",
    start: script(process.execPath, "--no-experimental-websocket"),
    says: /Node\.js\//,
    transport: "http",
    death: "heartbeat_timeout",
  },
  {
    runtime: "Deno",
    name: "deno",
    start: DENO && script(DENO, "run", "--allow-net", "--allow-env", "--allow-sys"),
    says: /^Deno\//,
    transport: "socket",
    death: "connection_lost",
  },
  {
    runtime: "Bun",
    name: "bun",
    start: BUN && script(BUN, "run"),
    says: /^Bun\//,
    transport: "socket",
    death: "connection_lost",
  },
  {
    runtime: "a page in Chromium, of another origin",
    name: "chromium",
    start: CHROMIUM && page(CHROMIUM),
    says: /Chrom/,
    transport: "socket",
    death: "connection_lost",
  },
])("in $runtime", ({ name, start, says, transport, death }) => {
  it.skipIf(!start)("an agent works, holds a lock, and is failed over when it is killed", async () => {
    if (!start) throw new Error("skipped");
    const { group, coordinator } = await begin(name, start);
    await using _ = group;
    const look = async (id: string) => {
      await coordinator.assignTask({ id, type: "look_around", data: { from: name } });
      return coordinator.tasks.wait(id, { waitSeconds: 20 });
    };
    const done = await look("look");
    expect(done).toMatchObject({ status: "completed", assigned_to: name });
    expect(done.result).toMatchObject({
      echo: { from: name },
      attempt: 1,
      fencingToken: expect.any(Number),
      runtime: expect.stringMatching(says),
      transport,
    });

    await coordinator.assignTask({ id: "stay", type: "stay" });
    await until(async () => (await coordinator.tasks.get("stay")).status === "running", "it works on it");
    await coordinator.config.patch({ heartbeat_config: { reconnect_grace_seconds: 0 } });
    group.signalAll("SIGKILL");
    // The other record says that no agent is left to take the task.
    const itsFailure = async () =>
      (await coordinator.getFailureHistory()).find(
        ({ failure_type }) => failure_type !== "no_suitable_agent",
      );
    expect(await until(itsFailure, "its failure is on record")).toMatchObject({
      agent_id: name,
      failure_type: death,
      tasks_pending: 1,
    });
    expect(await coordinator.tasks.get("stay")).toMatchObject({ status: "pending", assigned_to: null });
  });
});

describe("in a Worker", () => {
  it("a producer submits a task and waits for its end", async () => {
    const { group, coordinator } = await begin("worker", script(process.execPath));
    await using _ = group;
    const port = await freePort();
    writeFileSync(join(dir, "worker.capnp"), workerConfig(port));
    const workerd = join(PROJECT_ROOT, "node_modules", ".bin", "workerd");
    await using worker = new ProcessGroup(workerd, ["serve", "worker.capnp", "--verbose"], {
      cwd: dir,
      env: process.env,
    });
    const task = { id: "from-a-worker", type: "look_around", data: 7 };
    const ask = () =>
      fetch(`http://127.0.0.1:${port}`, {
        method: "POST",
        body: JSON.stringify({ ...access("worker"), task }),
      }).catch(() => null);
    let answer = await ask();
    await until(async () => {
      answer ??= await ask();
      return answer !== null;
    }, "the Worker answers");
    expect(await answer?.json(), worker.output()).toMatchObject({
      explanation: expect.stringContaining("worker"),
      result: { echo: 7, attempt: 1 },
      isFinished: true,
      error: "NotFoundError",
    });
    expect((await coordinator.tasks.get(task.id)).status).toBe("completed");
  });
});

async function freePort(): Promise<number> {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  return port;
}

const workerConfig = (port: number) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["private", "local"]))
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), (name = "index.js", esModule = embed "index.js")],
  compatibilityDate = "2026-01-01"
);
`;
