/** The time until the failure of an agent on a socket is noticed, which is never too early. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { BEARER_SUBPROTOCOL, SUBPROTOCOL } from "../../../src/contract/socket.ts";
import { apiOfThisFile, type CheckedCluster } from "../../support/checked-cluster.ts";
import { connected, registered } from "../../support/connected-agent.ts";
import type { EventStream } from "../../support/event-stream.ts";
import { figures } from "../../support/measure.ts";
import { actUntilSilentAgentFails } from "../../support/silent-agent.ts";

const api = apiOfThisFile();

/** The limit for a late notice: the second check, and a busy machine. */
const LATENESS_LIMIT_MS = 250;

const CRASHES = 10;
const GRACE_MS = 1000;

it("an agent that only pings stays active, and its last ping is shown", async () => {
  const cluster = api.cluster();
  const timing = { heartbeat_interval_seconds: 0.2, heartbeat_timeout_seconds: 0.6 };
  const { socket } = await connected(cluster, "a1", timing);
  using _ = socket;
  const beat = async () => {
    await socket.ping();
    // The pace of its heartbeats.
    await delay(1000 * timing.heartbeat_interval_seconds);
  };
  for (const silent of ["silent-1", "silent-2", "silent-3"]) {
    await actUntilSilentAgentFails(cluster.unchecked, timing, beat, silent);
  }
  await socket.ping();
  const sentMs = Date.now();
  const { status, last_heartbeat_at } = await cluster.agent("a1");
  expect(status).toBe("active");
  expect(Math.abs(Date.parse(last_heartbeat_at ?? "") - sentMs)).toBeLessThan(150);
  expect(await cluster.eventsSoFar()).not.toContainEqual(
    expect.objectContaining({ type: "agent.inactive", subject: "a1" }),
  );
});

it("an agent that falls silent is declared failed although its socket stays open", async () => {
  const cluster = api.cluster();
  const { socket } = await connected(cluster, "a1", {
    heartbeat_interval_seconds: 0.2,
    heartbeat_timeout_seconds: 1,
  });
  // The coordinator receives the ping later, so its timeout ends later.
  const sentMs = Date.now();
  await socket.ping();
  expect(await socket.closed).toMatchObject({ code: 4410, reason: "session_expired" });
  expect(Date.now() - sentMs).toBeGreaterThanOrEqual(999);
  expect(socket.heard.at(-1)).toEqual({ type: "session_expired", reason: "failed" });
  const { items } = await cluster.failures();
  expect(items).toMatchObject([{ failure_type: "heartbeat_timeout" }]);
  // After an alarm that was late, the whole timeout is counted again.
  const pausesMs = (await cluster.eventsSoFar())
    .filter(({ type }) => type === "coordinator.paused")
    .map(({ at }) => Date.parse(at));
  const lastSignMs = Date.parse(items[0]?.agent?.last_heartbeat_at ?? "");
  expect(lastSignMs).toBeGreaterThanOrEqual(sentMs);
  const silentMs = Date.parse(items[0]?.at ?? "") - Math.max(lastSignMs, ...pausesMs);
  expect(silentMs).toBeGreaterThanOrEqual(1000);
  expect(silentMs).toBeLessThan(1000 + LATENESS_LIMIT_MS);
});

it(`an agent whose process crashes is suspect at once and inactive after its grace, never before it, ${CRASHES} times`, async () => {
  const cluster = api.cluster();
  await cluster.configure({ heartbeat_config: { reconnect_grace_seconds: GRACE_MS / 1000 } });
  // More than the victims, so that their failure does not look like a fault of the network.
  for (let index = 0; index <= CRASHES; index++) await cluster.register(`idle-${index}`);
  await using events = await cluster.events();
  const crashes: Promise<{ suspectedMs: number; declaredMs: number }>[] = [];
  for (let crash = 0; crash < CRASHES; crash++) {
    const id = `victim-${crash}`;
    const { url, token } = await registered(cluster, id, { capabilities: [id] });
    const kill = await connectedProcess(url, token);
    const killedMs = Date.now();
    await kill();
    // The grace of one victim overlaps with the life of the next.
    crashes.push(found(events, id, killedMs));
  }
  const all = await Promise.all(crashes);
  const suspectedMs = all.map((crash) => crash.suspectedMs);
  const declaredMs = all.map((crash) => crash.declaredMs);
  console.log(figures("killed to suspect", suspectedMs));
  console.log(figures("inactive after the grace", declaredMs));
  expect(Math.max(...suspectedMs)).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
  expect(Math.min(...declaredMs)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...declaredMs)).toBeLessThanOrEqual(LATENESS_LIMIT_MS);
  expect(await failedAgents(cluster)).toHaveLength(CRASHES);
});

/** When the agent was suspect, and when it was inactive after its grace, both since the crash. */
async function found(events: EventStream, id: string, killedMs: number) {
  const at = async (type: string) => {
    const event = await events.first(
      (event) => event.type === type && event.subject === id,
      `${type} of ${id}`,
    );
    return Date.parse(event.at) - killedMs;
  };
  return { suspectedMs: await at("agent.suspect"), declaredMs: (await at("agent.inactive")) - GRACE_MS };
}

const failedAgents = async (cluster: CheckedCluster) =>
  (await cluster.failures({ failure_type: "connection_lost" })).items.map(({ agent_id }) => agent_id);

/** A process that connects and stays connected. */
const CLIENT = `
  const [url, protocol, bearer] = process.argv.slice(1);
  const socket = new WebSocket(url, [protocol, bearer]);
  socket.onopen = () => process.stdout.write("open");
  setInterval(() => {}, 1000);
`;

/** @returns what kills it with SIGKILL */
async function connectedProcess(url: string, token: string): Promise<() => Promise<unknown>> {
  const child = spawn(process.execPath, ["-e", CLIENT, url, SUBPROTOCOL, `${BEARER_SUBPROTOCOL}${token}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return () => {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    return gone;
  };
}
