/** Redis, PostgreSQL and etcd from the machine's packages, each on a free port of loopback with a temporary folder. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killGroup, register, temporaryFolder, unregister } from "../../tests/support/groups.ts";

const START_LIMIT_MS = 30_000;
const LOOK_INTERVAL_MS = 50;
/** A folder that other users may enter and not list. */
const PASS_THROUGH = 0o711;

export interface LocalServer extends AsyncDisposable {
  readonly port: number;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + START_LIMIT_MS;
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error("a server did not start in time");
    await delay(LOOK_INTERVAL_MS);
  }
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const opened = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.destroy();
  return opened;
}

/** @param user to run as; our own user, if absent */
async function startServer(
  { program, words, port, folder }: { program: string; words: string[]; port: number; folder: string },
  user: { uid: number; gid: number } | null = null,
): Promise<LocalServer> {
  const child = spawn(program, words, { detached: true, stdio: "ignore", ...user });
  await once(child, "spawn");
  const pid = child.pid ?? 0;
  register(pid);
  const end = async () => {
    await killGroup(pid);
    unregister(pid);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    await until(() => isOpen(port));
  } catch (error) {
    await end();
    throw error;
  }
  return { port, [Symbol.asyncDispose]: end };
}

export async function startRedis(): Promise<LocalServer> {
  const port = await freePort();
  const folder = temporaryFolder("peers-redis-");
  const words = ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder];
  return startServer({ program: "redis-server", words, port, folder });
}

export async function startPostgres(): Promise<LocalServer> {
  const port = await freePort();
  const folder = temporaryFolder("peers-postgres-");
  const bin = execFileSync("pg_config", ["--bindir"], { encoding: "utf8" }).trim();
  // PostgreSQL refuses to run as root.
  const user = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : null;
  if (user !== null) {
    chownSync(folder, user.uid, user.gid);
    // Its user has to enter the folder of this run.
    chmodSync(dirname(folder), PASS_THROUGH);
  }
  const initdb = ["--auth=trust", "--username=postgres", "--pgdata", folder];
  execFileSync(join(bin, "initdb"), initdb, { stdio: ["ignore", "ignore", "inherit"], cwd: folder, ...user });
  const words = ["-D", folder, "-h", "127.0.0.1", "-p", String(port), "-k", folder];
  const server = await startServer({ program: join(bin, "postgres"), words, port, folder }, user);
  // The port is open before the server accepts connections.
  await until(() => spawnSync(join(bin, "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]).status === 0);
  return server;
}

const idOf = (flag: "-u" | "-g") => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));

export async function startEtcd(): Promise<LocalServer> {
  const [port, peerPort] = [await freePort(), await freePort()];
  const folder = temporaryFolder("peers-etcd-");
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const words = [
    ...["--data-dir", folder, "--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", `default=${peer}`],
  ];
  return startServer({ program: "etcd", words, port, folder });
}
