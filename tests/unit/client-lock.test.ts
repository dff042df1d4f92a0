/** `withLock`: whoever holds a lock believes in it for less long than the coordinator does. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Agent, LockHeldError, LockLostError } from "../../client/src/index.ts";
import {
  type Answering,
  coordinatorWithAgents,
  json,
  noAnswer,
  pass,
  problem,
  silence,
  startTime,
  stopTime,
} from "./client-fakes.ts";

beforeEach(stopTime);
afterEach(async () => {
  for (const agent of started.splice(0)) void agent.stop({ graceSeconds: 0 });
  await pass(2);
  startTime();
});

const started: Agent[] = [];

const RENEW = /\/renew$/;
const RELEASE = /\/release$/;
const ACQUIRE = /\/acquire$/;
const held = () => problem(409, "lock_held", { holder: "other" });

async function agentWithLocks() {
  const { fake } = coordinatorWithAgents({ intervalSeconds: 1000, timeoutSeconds: 3000 });
  let fencing_token = 0;
  const grant: Answering = ({ body }) =>
    json({
      lock: {
        resource: "db/orders",
        fencing_token: ++fencing_token,
        ttl_seconds: (body as { ttl_seconds: number }).ttl_seconds,
      },
    });
  fake.on("POST", ACQUIRE, grant);
  fake.on("POST", RENEW, () => json({ lock: {} }));
  fake.on("POST", RELEASE, () => json({ lock: {} }));
  const agent = new Agent({ ...fake.options, id: "a", transport: "http", handleSignals: false });
  started.push(agent);
  await agent.start();
  return { fake, agent, grant };
}

/** Holds the lock until `end` is called; tells when it got it and when its signal was aborted. */
function holding(agent: Agent, options: Parameters<Agent["withLock"]>[2] = { ttlSeconds: 30 }) {
  const done = Promise.withResolvers<string>();
  const held = {
    token: null as number | null,
    abortedAtMs: null as number | null,
    startedAtMs: null as number | null,
    end: () => done.resolve("done"),
    outcome: agent
      .withLock(
        "db/orders",
        (token, signal) => {
          held.token = token;
          held.startedAtMs = performance.now();
          signal.addEventListener("abort", () => {
            held.abortedAtMs = performance.now();
          });
          return done.promise;
        },
        options,
      )
      .catch((error: Error) => error),
  };
  return held;
}

describe("a lock that is held", () => {
  it("is renewed at each third of its TTL, and released at the end", async () => {
    const { fake, agent } = await agentWithLocks();
    const lock = holding(agent);
    await pass(9.9);
    expect(fake.made("POST", RENEW)).toHaveLength(0);
    await pass(0.2);
    expect(fake.made("POST", RENEW).map(({ body }) => body)).toEqual([{ fencing_token: 1 }]);
    await pass(20);
    expect(fake.made("POST", RENEW)).toHaveLength(3);
    lock.end();
    await pass(0);
    expect(await lock.outcome).toBe("done");
    expect(fake.made("POST", RELEASE).map(({ path, body }) => [path, body])).toEqual([
      ["/groups/default/locks/db%2Forders/release", { fencing_token: 1 }],
    ]);
    await pass(60);
    expect(fake.made("POST", RENEW)).toHaveLength(3);
    expect(lock.abortedAtMs).toBeNull();
  });

  it("is given up a tenth of its TTL before it ends, counted from the last renewal that was asked for and granted", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.inTurn("POST", RENEW, () => json({ lock: {} }), noAnswer);
    const lock = holding(agent);
    const startedAtMs = performance.now();
    await pass(10.1);
    expect(fake.made("POST", RENEW)).toHaveLength(1);
    await pass(26.8);
    expect(lock.abortedAtMs).toBeNull();
    await pass(0.2);
    // 10 s + 27 s of 30
    expect((lock.abortedAtMs ?? 0) - startedAtMs).toBeCloseTo(37_000, -2);
    lock.end();
    await pass(10);
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
  });

  it("is tried to be renewed more often while nobody answers", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.inTurn("POST", RENEW, noAnswer, noAnswer, () => json({ lock: {} }));
    const lock = holding(agent);
    await pass(13);
    expect(fake.made("POST", RENEW)).toHaveLength(3);
    await pass(25);
    expect(lock.abortedAtMs).toBeNull();
    lock.end();
    await pass(0);
    expect(await lock.outcome).toBe("done");
  });

  it("is given up in time also when a renewal hangs", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", RENEW, silence);
    const lock = holding(agent);
    await pass(27.1);
    expect(lock.abortedAtMs).not.toBeNull();
    lock.end();
    await pass(10);
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
  });

  it("is given up at once when the coordinator says that it is another's", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", RENEW, () => problem(409, "stale_fencing_token"));
    const lock = holding(agent);
    await pass(10.1);
    expect(lock.abortedAtMs).not.toBeNull();
    lock.end();
    await pass(0);
    expect(String(await lock.outcome)).toContain("stale_fencing_token");
  });

  it("is released also when what it was for throws", async () => {
    const { fake, agent } = await agentWithLocks();
    const thrown = new Error("broken");
    await expect(
      agent.withLock("db/orders", () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(fake.made("POST", RELEASE)).toHaveLength(1);
  });
});

describe("waiting for a lock", () => {
  it("goes on in line until it is free", async () => {
    const { fake, agent, grant } = await agentWithLocks();
    fake.inTurn("POST", ACQUIRE, held, held, grant);
    const lock = holding(agent, { waitSeconds: 40 });
    await pass(2);
    expect(lock.token).toBe(1);
    expect(fake.made("POST", ACQUIRE).map(({ body }) => body)[0]).toEqual({
      agent_id: "a",
      ttl_seconds: 30,
      wait_seconds: 30,
    });
    lock.end();
  });

  it("ends with who holds it when the time is over", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, held);
    const lock = holding(agent, { waitSeconds: 3 });
    await pass(4);
    const error = await lock.outcome;
    expect(error).toBeInstanceOf(LockHeldError);
    expect(error).toMatchObject({ evidence: { holder: "other" } });
  });

  it("is not at all when told so", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, held);
    const lock = holding(agent, { waitSeconds: 0 });
    await pass(0);
    expect(await lock.outcome).toBeInstanceOf(LockHeldError);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
  });

  it("ends with its signal", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, silence);
    const caller = new AbortController();
    const lock = holding(agent, { signal: caller.signal });
    caller.abort(new Error("enough"));
    await pass(0);
    expect(await lock.outcome).toEqual(new Error("enough"));
  });

  it("that took long is followed by a renewal, for the TTL runs since an unknown instant", async () => {
    const { fake, agent, grant } = await agentWithLocks();
    fake.on("POST", ACQUIRE, async (called) => {
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      return grant(called);
    });
    const lock = holding(agent);
    await pass(20.1);
    expect(fake.made("POST", RENEW)).toHaveLength(1);
    expect(lock.token).toBe(1);
    await pass(9);
    expect(fake.made("POST", RENEW)).toHaveLength(1);
    lock.end();
    await pass(0);
    expect(await lock.outcome).toBe("done");
  });
});

describe("two tasks of one agent that want the same lock", () => {
  it("take turns, each with a grant of its own", async () => {
    const { fake, agent } = await agentWithLocks();
    const first = holding(agent);
    const second = holding(agent);
    await pass(5);
    expect([first.token, second.token]).toEqual([1, null]);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
    first.end();
    await pass(0);
    expect(second.token).toBe(2);
    second.end();
    await pass(0);
    expect([await first.outcome, await second.outcome]).toEqual(["done", "done"]);
  });

  it("do not wait for ever, and a third takes its turn all the same", async () => {
    const { agent } = await agentWithLocks();
    const first = holding(agent);
    const second = holding(agent, { waitSeconds: 3 });
    const third = holding(agent);
    await pass(4);
    expect(await second.outcome).toBeInstanceOf(LockHeldError);
    expect(third.token).toBeNull();
    first.end();
    await pass(0);
    expect(third.token).toBe(2);
    third.end();
    await pass(0);
    expect(await third.outcome).toBe("done");
  });
});
