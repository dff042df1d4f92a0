/**
 * A fleet on sockets that only sends `ping`: its cost on disk, seen from outside, and which agents are declared
 * failed when
 * some of them go silent with open sockets. LONG=1: a thousand at the usual 10 s and 30 s, for a minute. The cost
 * inside the object is measured in tests/objects/connected-fleet.test.ts.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import type { Agent } from "../../../src/contract/agent.ts";
import type { Failure } from "../../../src/contract/failure.ts";
import { BEARER_SUBPROTOCOL, SUBPROTOCOL } from "../../../src/contract/socket.ts";
import { expectNoAgentLeft } from "../../support/agent-process.ts";
import { ClusterClient } from "../../support/cluster-client.ts";
import { figures, Noise } from "../../support/measure.ts";
import { Program } from "../../support/program.ts";
import { startServer } from "../../support/server.ts";
import type { SocketAgentsSaid, SocketAgentsSettings } from "../../support/socket-agents.ts";
import { until } from "../../support/until.ts";

const { FLEET, PROCESSES, INTERVAL_SECONDS, TIMEOUT_SECONDS, BEATING_SECONDS } = process.env.LONG
  ? { FLEET: 1000, PROCESSES: 2, INTERVAL_SECONDS: 10, TIMEOUT_SECONDS: 30, BEATING_SECONDS: 60 }
  : { FLEET: 200, PROCESSES: 1, INTERVAL_SECONDS: 1, TIMEOUT_SECONDS: 3, BEATING_SECONDS: 6 };
/** In a process of their own, which is stopped. */
const SILENT = 10;
const LATENESS_LIMIT_MS = 250;
const REGISTERED_AT_ONCE = 20;

/**
 * When some deadline seems to have passed, the group's alarm asks the platform for the latest `ping` of each: then the
 * earliest deadline is a timeout less an interval away again.
 */
const ALARMS_LIMIT = 1 + Math.ceil(BEATING_SECONDS / (TIMEOUT_SECONDS - INTERVAL_SECONDS));
/** The writes of an alarm: the signs of life of all in one row, and the time of the next alarm. */
const COMMITS_OF_ALARM = 2;

afterEach(expectNoAgentLeft);

it(`${FLEET} agents stay active by pings that write nothing, and ${SILENT} that stop are declared failed, and no others`, {
  timeout: (BEATING_SECONDS + TIMEOUT_SECONDS + 60) * 1000,
}, async () => {
  await using server = await startServer();
  await using stack = new AsyncDisposableStack();
  const cluster = new ClusterClient(server, "fleet");
  const follower = stack.use(cluster.follow());
  const ids = Array.from({ length: FLEET }, (_, index) => `agent-${index}`);
  const agents = await registerAll(cluster, ids);
  const host = async (some: SocketAgentsSettings["agents"]) => {
    const settings: SocketAgentsSettings = { agents: some, beatIntervalMs: INTERVAL_SECONDS * 1000 };
    const program = stack.use(new Program<SocketAgentsSaid>("socket-agents.ts", settings));
    await program.hear(({ what }) => what === "connected");
    return program;
  };
  const silent = ids.slice(0, SILENT);
  const share = Math.ceil((FLEET - SILENT) / PROCESSES);
  const [stopped, ...others] = await Promise.all([
    host(agents.slice(0, SILENT)),
    ...Array.from({ length: PROCESSES }, (_, of) =>
      host(agents.slice(SILENT + of * share, SILENT + (of + 1) * share)),
    ),
  ]);

  using noise = new Noise();
  const disk = new DiskWatch(join(server.dataDir, "do"));
  await disk.watch(BEATING_SECONDS * 1000);
  const beats = (FLEET * BEATING_SECONDS) / INTERVAL_SECONDS;
  console.log(
    `${FLEET} sockets, about ${beats} pings in ${BEATING_SECONDS} s: ${disk.commits} commits in ${disk.moments} ` +
      `moments (${disk}); at most ${ALARMS_LIMIT} alarms; ${noise}`,
  );
  // The object does not see the pings before an alarm: seeing those shows that commits are seen.
  expect(disk.moments).toBeGreaterThan(0);
  expect(disk.moments).toBeLessThanOrEqual(ALARMS_LIMIT);
  expect(disk.commits).toBeLessThanOrEqual(ALARMS_LIMIT * COMMITS_OF_ALARM);
  expect(await cluster.all<Failure>("/failures")).toEqual([]);
  const living = await activeAgents(cluster);
  expect(living).toHaveLength(FLEET);
  const oldestSeconds = Math.max(
    ...living.map(({ last_heartbeat_at }) => (Date.now() - Date.parse(last_heartbeat_at ?? "")) / 1000),
  );
  expect(oldestSeconds).toBeLessThan(2 * INTERVAL_SECONDS);

  stopped.signal("SIGSTOP");
  const stoppedAtMs = Date.now();
  await Promise.all(silent.map((id) => follower.event("agent.inactive", ({ subject }) => subject === id)));
  // No other agent fell silent then: all have been heard since.
  await until(async () => {
    const others = await activeAgents(cluster);
    return others.every(({ last_heartbeat_at }) => Date.parse(last_heartbeat_at ?? "") > stoppedAtMs);
  }, "all others to be heard");
  const failures = await cluster.all<Failure>("/failures");
  expect(failures.map(({ agent_id }) => agent_id).sort()).toEqual(silent.toSorted());
  expect(await activeAgents(cluster)).toHaveLength(FLEET - SILENT);

  const atMs = failures.map(({ at }) => Date.parse(at));
  const lateness = failures.map(({ at, agent }) => {
    return Date.parse(at) - Date.parse(agent?.last_heartbeat_at ?? "") - TIMEOUT_SECONDS * 1000;
  });
  console.log(
    `${SILENT} stopped, and no others, ${figures("inactive after their timeout and", lateness)}; ` +
      `${figures(
        "after they were stopped",
        atMs.map((ms) => ms - stoppedAtMs),
      )}; ${noise}`,
  );
  for (const failure of failures) expect(failure.failure_type).toBe("heartbeat_timeout");
  expect(Math.min(...lateness)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...lateness), `${noise}`).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
  const closed = others.flatMap(({ said }) => said.items.filter(({ what }) => what === "closed"));
  expect(closed).toEqual([]);
});

async function activeAgents(cluster: ClusterClient): Promise<Agent[]> {
  return (await cluster.all<Agent>("/agents")).filter(({ status }) => status === "active");
}

async function registerAll(
  cluster: ClusterClient,
  ids: readonly string[],
): Promise<SocketAgentsSettings["agents"]> {
  const agents: SocketAgentsSettings["agents"] = [];
  for (let from = 0; from < ids.length; from += REGISTERED_AT_ONCE) {
    const some = ids.slice(from, from + REGISTERED_AT_ONCE).map((id) => register(cluster, id));
    agents.push(...(await Promise.all(some)));
  }
  return agents;
}

async function register(cluster: ClusterClient, id: string): Promise<SocketAgentsSettings["agents"][number]> {
  const { websocket_url, token } = await cluster.ask<{ websocket_url: string; token: string }>(
    "PUT",
    `/groups/default/agents/${id}`,
    {
      type: "test-agent",
      capabilities: ["work"],
      heartbeat_interval_seconds: INTERVAL_SECONDS,
      heartbeat_timeout_seconds: TIMEOUT_SECONDS,
    },
  );
  return { url: websocket_url, protocols: [SUBPROTOCOL, `${BEARER_SUBPROTOCOL}${token}`] };
}

const LOOK_INTERVAL_MS = 100;
/** Two commits of one alarm may be on both sides of a sample. */
const MOMENT_MS = 500;

/** Counts what is committed to any of the databases in a folder: the commits in their write-ahead logs. */
class DiskWatch {
  readonly #files: { name: string; path: string; seen: Log }[];
  readonly #commitsOf = new Map<string, number>();
  #lastMs = Number.NEGATIVE_INFINITY;
  moments = 0;

  constructor(dir: string) {
    this.#files = readdirSync(dir, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("-wal"))
      .map((name) => ({
        name: name.replace(/[0-9a-f]{60,}\.sqlite-wal$/, "object").replace(".sqlite-wal", ""),
        path: join(dir, name),
        seen: readLog(join(dir, name)),
      }));
    expect(this.#files.map(({ name }) => name)).toContain("AgentGroup/object");
  }

  get commits(): number {
    return [...this.#commitsOf.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The commits within a time are the figure itself: no signal could end the wait. */
  async watch(forMs: number): Promise<void> {
    const untilMs = performance.now() + forMs;
    while (performance.now() < untilMs) {
      await delay(LOOK_INTERVAL_MS);
      this.#look();
    }
  }

  toString(): string {
    return [...this.#commitsOf].map(([name, count]) => `${name} ${count}`).join(", ");
  }

  #look(): void {
    for (const file of this.#files) {
      const { name, path, seen } = file;
      if (statSync(path).mtimeMs === seen.changedAtMs) continue;
      file.seen = readLog(path);
      // A log that was restarted holds no frames that were seen before.
      const known = file.seen.salt === seen.salt ? seen.commits : 0;
      this.#commitsOf.set(name, (this.#commitsOf.get(name) ?? 0) + file.seen.commits - known);
      if (performance.now() - this.#lastMs > MOMENT_MS) this.moments += 1;
      this.#lastMs = performance.now();
    }
  }
}

type Log = { changedAtMs: number; salt: string; commits: number };

/** SQLite's write-ahead log: a header of 32 bytes, then frames, each a header of 24 bytes and a page. */
function readLog(path: string): Log {
  const changedAtMs = statSync(path).mtimeMs;
  const log = readFileSync(path);
  if (log.length < 32) return { changedAtMs, salt: "", commits: 0 };
  const frameBytes = 24 + log.readUInt32BE(8);
  const salt = log.toString("hex", 16, 24);
  let commits = 0;
  for (let at = 32; at + frameBytes <= log.length; at += frameBytes) {
    // Frames of a restarted log are followed by the rest of the log before.
    if (log.toString("hex", at + 8, at + 16) !== salt) break;
    // The last frame of a commit has the size of the database.
    if (log.readUInt32BE(at + 4) > 0) commits += 1;
  }
  return { changedAtMs, salt, commits };
}
