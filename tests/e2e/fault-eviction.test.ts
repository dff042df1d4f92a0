/**
 * A single agent in its group, whose object is evicted between any two of its heartbeats: the agent stays active
 * while it sends heartbeats, and is declared failed when it stops. `npm start` keeps objects in memory, so this test
 * uses `npm run dev`,
 * which evicts them after 10 s without a request, as Cloudflare does. LONG=1 runs for two minutes.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import type { Agent } from "../../src/contract/agent.ts";
import type { Failure } from "../../src/contract/failure.ts";
import { expectNoAgentLeft } from "../support/agent-process.ts";
import { ClusterClient } from "../support/cluster-client.ts";
import { startServer } from "../support/server.ts";

const INTERVAL_SECONDS = 10;
const { BEATS, TIMEOUT_SECONDS } = process.env.LONG
  ? { BEATS: 12, TIMEOUT_SECONDS: 30 }
  : { BEATS: 2, TIMEOUT_SECONDS: 20 };
/** Time that a new instance cannot know counts in the agent's favour, and an alarm may be late. */
const LATENESS_LIMIT_SECONDS = 2;

afterEach(expectNoAgentLeft);

it("keeps an agent active whose object is evicted between its heartbeats, and notices its failure in time", {
  timeout: (BEATS * INTERVAL_SECONDS + TIMEOUT_SECONDS + 60) * 1000,
}, async () => {
  await using server = await startServer({ script: "dev" });
  const cluster = new ClusterClient(server, "evicted");
  await using follower = cluster.follow();
  const { token } = await cluster.ask<{ token: string }>("PUT", "/groups/alone/agents/agent", {
    type: "test-agent",
    capabilities: [],
    heartbeat_interval_seconds: INTERVAL_SECONDS,
    heartbeat_timeout_seconds: TIMEOUT_SECONDS,
  });

  let evictions = 0;
  let lastBeatSentAtMs = 0;
  for (let beat = 0; beat < BEATS; beat++) {
    lastBeatSentAtMs = Date.now();
    await cluster.ask("POST", "/groups/alone/agents/agent/heartbeat", {}, { token });
    // The heartbeat interval. No request may reach the group meanwhile, so the test cannot poll.
    await delay(INTERVAL_SECONDS * 1000);
    if (await isStartedSinceLastBeat(cluster)) evictions += 1;
  }
  const { event } = await follower.event("failure.recorded");
  const { failure } = await cluster.ask<{ failure: Failure }>("GET", `/failures/${event.subject}`);

  const silentSeconds = (Date.parse(failure.at) - lastBeatSentAtMs) / 1000;
  console.log(
    `evicted ${evictions} times between ${BEATS} heartbeats; found dead after ${silentSeconds.toFixed(2)} s of ` +
      `silence, with a timeout of ${TIMEOUT_SECONDS} s`,
  );
  expect(evictions).toBeGreaterThan(0);
  expect(failure).toMatchObject({ agent_id: "agent", failure_type: "heartbeat_timeout" });
  expect(failure.detection_seconds).toBeGreaterThanOrEqual(TIMEOUT_SECONDS);
  expect(silentSeconds).toBeGreaterThanOrEqual(TIMEOUT_SECONDS);
  expect(silentSeconds).toBeLessThanOrEqual(TIMEOUT_SECONDS + LATENESS_LIMIT_SECONDS);
  expect(await cluster.all<Failure>("/failures")).toHaveLength(1);
});

/**
 * A new instance does not know the signs of life that the last one had not stored, and adds that time to the
 * timeout. A read by an operator is no sign of life.
 */
async function isStartedSinceLastBeat(cluster: ClusterClient): Promise<boolean> {
  const { agent } = await cluster.ask<{ agent: Agent }>("GET", "/agents/agent");
  expect(agent.status).toBe("active");
  const grantedMs = Date.parse(agent.deadline_at ?? "") - Date.parse(agent.last_heartbeat_at ?? "");
  return grantedMs > TIMEOUT_SECONDS * 1000;
}
