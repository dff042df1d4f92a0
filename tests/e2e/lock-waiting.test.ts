/** Waiting for locks over HTTP and over sockets, in order, also while the server is killed and restarted. */
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Lock, LockAnswer } from "../../src/contract/lock.ts";
import { AgentSocket } from "../support/agent-socket.ts";
import { apiOfThisFile, type CheckedCluster, type TestAgent } from "../support/checked-cluster.ts";
import { holderAndWaiters, waitersOnce } from "../support/lock-waiters.ts";
import { figures } from "../support/measure.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

const RESTARTS = Number(process.env.FAULT_ROUNDS ?? 3);
const WAITERS = 64;

async function agents(cluster: CheckedCluster, count: number): Promise<TestAgent[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => cluster.register(`a${index}`)));
}

describe("a call that waits", () => {
  it("is granted the lock when it is released, first come first served, under a new token", async () => {
    const cluster = api.cluster();
    const { holder, first, second, held } = await holderAndWaiters(cluster);
    const one = first.acquire("disk", { wait_seconds: 30 });
    await waitersOnce(cluster, "disk", ["a1"]);
    const other = second.acquire("disk", { wait_seconds: 30 });
    await waitersOnce(cluster, "disk", ["a1", "a2"]);

    await holder.proof("release", "disk", held.fencing_token);
    const granted = await one;
    expect(granted).toMatchObject({ holder: "a1", waiters: ["a2"] });
    expect(granted.fencing_token).toBeGreaterThan(held.fencing_token);
    // The order is kept.
    (await holder.tryAcquire("disk")).problem(409, "lock_held");
    await first.proof("release", "disk", granted.fencing_token);
    expect(await other).toMatchObject({ holder: "a2", waiters: [] });
  });

  it.each(["failure", "unregistering", "expiry", "breaking"])(
    "is granted the lock after its holder's %s",
    async (end) => {
      const cluster = api.cluster();
      const [holder, waiter] = await agents(cluster, 2);
      await holder?.acquire("disk", { ttl_seconds: end === "expiry" ? 0.5 : 600 });
      const granted = waiter?.acquire("disk", { wait_seconds: 30 });
      if (end !== "expiry") {
        await waitersOnce(cluster, "disk", ["a1"]);
        if (end === "failure") await cluster.post("/agents/a0/failures", { failure_type: "reported" });
        if (end === "unregistering") await holder?.unregister();
        if (end === "breaking") await cluster.request("DELETE", "/groups/default/locks/disk");
      }
      expect(await granted).toMatchObject({ holder: "a1" });
    },
  );

  it("is answered with session_expired when its agent's incarnation ends", async () => {
    const cluster = api.cluster();
    const { first } = await holderAndWaiters(cluster);
    const call = first.tryAcquire("disk", { wait_seconds: 30 });
    await waitersOnce(cluster, "disk", ["a1"]);
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    (await call).problem(410, "session_expired");
    await waitersOnce(cluster, "disk", []);
  });

  it.each([-1, 31, "soon"])("is refused with a wait of %s", async (wait_seconds) => {
    const { first } = await holderAndWaiters(api.cluster());
    (await first.tryAcquire("disk", { wait_seconds })).problem(400, "invalid_request");
  });
});

it("and a waiting frame share one queue", async () => {
  const cluster = api.cluster();
  const { holder, first, second, held } = await holderAndWaiters(cluster);
  using socket = await AgentSocket.open(
    `${cluster.api.server.url}${cluster.path}${first.path}/connect`,
    first.token,
  );
  const queued = await socket.ask({ type: "lock_acquire", resource: "disk", wait_seconds: 30 });
  expect(queued).toMatchObject({ type: "ack", queued: true });
  const call = second.acquire("disk", { wait_seconds: 30 });
  await waitersOnce(cluster, "disk", ["a1", "a2"]);
  await holder.proof("release", "disk", held.fencing_token);
  const { request_id, lock } = await socket.first("lock_granted");
  expect(request_id).toBe(queued.request_id);
  const released = await socket.ask({
    type: "lock_release",
    resource: "disk",
    fencing_token: lock.fencing_token,
  });
  expect(released.type).toBe("ack");
  expect(await call).toMatchObject({ holder: "a2" });
});

/** Shared by the waiters of the long test. */
type Race = {
  order: string[];
  inside: Set<string>;
  tokens: number[];
  /** Resolves when the server runs. */
  serverIsBack: Promise<void>;
};

it(`${WAITERS} waiters get a lock in the order in which they came, one at a time, while the server is killed ${RESTARTS} times`, {
  timeout: 120_000,
}, async () => {
  const cluster = api.cluster();
  const all = await agents(cluster, WAITERS);
  const holder = await cluster.register("first");
  const held = await holder.acquire("disk", { ttl_seconds: 600 });
  const race: Race = { order: [], inside: new Set(), tokens: [], serverIsBack: Promise.resolve() };
  const waiting: Promise<void>[] = [];
  const ids: string[] = [];
  for (const agent of all) {
    waiting.push(waitItsTurn(agent, race));
    ids.push(agent.id);
    await waitersOnce(cluster, "disk", ids);
  }

  const restart = async () => {
    const fromMs = performance.now();
    const back = Promise.withResolvers<void>();
    race.serverIsBack = back.promise;
    await api.server.kill();
    await api.server.restart();
    back.resolve();
    return performance.now() - fromMs;
  };
  // Before the first grant, and in the middle.
  const awayMs = [await restart()];
  await release(holder, held, race);
  for (let round = 1; round < RESTARTS; round++) {
    const mark = Math.floor((WAITERS * round) / RESTARTS);
    await until(async () => race.order.length >= mark, `${mark} to have had their turn`, 60_000);
    awayMs.push(await restart());
  }
  await Promise.all(waiting);

  console.log(figures(`lock line of ${WAITERS}, server away`, awayMs));
  expect(race.order).toEqual(ids);
  expect(race.tokens).toEqual(race.tokens.toSorted((a, b) => a - b));
  expect(new Set(race.tokens).size).toBe(WAITERS);
});

/** Repeats the request while the server is down, and the release until it is answered, as a careful agent does. */
async function waitItsTurn(agent: TestAgent, race: Race): Promise<void> {
  let lock: Lock | null = null;
  while (lock === null) {
    try {
      const answer = await agent.tryAcquire("disk", { wait_seconds: 30, ttl_seconds: 600 });
      if (answer.status === 200) lock = answer.as(200, LockAnswer).lock;
    } catch (error) {
      await returnAfter(error, race);
    }
  }
  expect([...race.inside], `${agent.id} was not alone`).toEqual([]);
  race.inside.add(agent.id);
  race.order.push(agent.id);
  race.tokens.push(lock.fencing_token);
  // Time for a second holder, if the lock allowed one.
  await delay(5);
  race.inside.delete(agent.id);
  await release(agent, lock, race);
}

async function release(agent: TestAgent, { resource, fencing_token }: Lock, race: Race): Promise<void> {
  for (;;) {
    try {
      expect((await agent.proof("release", resource, fencing_token)).status).toBe(200);
      return;
    } catch (error) {
      await returnAfter(error, race);
    }
  }
}

/**
 * Waits for the server if it is down. @param error of a call: `fetch` reports like this that a connection failed or
 * broke off
 */
async function returnAfter(error: unknown, race: Race): Promise<void> {
  if (!(error instanceof TypeError)) throw error;
  await race.serverIsBack;
}
