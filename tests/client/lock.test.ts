/** `withLock`: an agent treats its lock as lost before the coordinator can grant it to another. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  Agent,
  ConnectionError,
  LockHeldError,
  LockLostError,
  TaskRevokedError,
} from "../../client/src/index.ts";
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
} from "./fakes.ts";

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

async function agentWithLocks(times = { intervalSeconds: 1000, timeoutSeconds: 3000 }) {
  const { fake } = coordinatorWithAgents(times);
  let fencing_token = 0;
  const grant: Answering = ({ body, headers }) =>
    json({
      lock: {
        resource: "db/orders",
        incarnation: Number(headers.get("Authorization")?.split("-")[1]),
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
  it("a lock is renewed at each third of its TTL and released at the end", async () => {
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

  it("the signal is aborted nine tenths of the TTL after the last successful renewal was sent", async () => {
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

  it("renewals are more frequent while they get no answer", async () => {
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

  it("the signal is aborted in time although a renewal is not answered", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", RENEW, silence);
    const lock = holding(agent);
    await pass(27.1);
    expect(lock.abortedAtMs).not.toBeNull();
    lock.end();
    await pass(10);
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
  });

  it("the signal is aborted at once when a renewal is refused", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", RENEW, () => problem(409, "stale_fencing_token"));
    const lock = holding(agent);
    await pass(10.1);
    expect(lock.abortedAtMs).not.toBeNull();
    lock.end();
    await pass(0);
    expect(String(await lock.outcome)).toContain("stale_fencing_token");
  });

  it("a lock is released when the function throws", async () => {
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
  it("withLock() waits in the queue until the lock is granted", async () => {
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

  it("withLock() rejects with the holder after waitSeconds", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, held);
    const lock = holding(agent, { waitSeconds: 3 });
    await pass(4);
    const error = await lock.outcome;
    expect(error).toBeInstanceOf(LockHeldError);
    expect(error).toMatchObject({ evidence: { holder: "other" } });
  });

  it("withLock() does not wait with waitSeconds: 0", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, held);
    const lock = holding(agent, { waitSeconds: 0 });
    await pass(0);
    expect(await lock.outcome).toBeInstanceOf(LockHeldError);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
  });

  it("withLock() rejects with the reason of its aborted signal", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, silence);
    const caller = new AbortController();
    const lock = holding(agent, { signal: caller.signal });
    caller.abort(new Error("enough"));
    await pass(0);
    expect(await lock.outcome).toEqual(new Error("enough"));
  });

  it("a lock that was granted after a long wait is renewed at once", async () => {
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

describe("a wait that ends without the lock", () => {
  const enough = new Error("enough");
  const left = { agent_id: "a", ttl_seconds: 30, wait_seconds: 0 };

  /** Waits in the queue until the signal is aborted; the answers are for the calls after that. */
  async function givenUp(...answers: Answering[]) {
    const { fake, agent, grant } = await agentWithLocks();
    fake.inTurn("POST", ACQUIRE, silence, ...answers);
    const caller = new AbortController();
    const lock = holding(agent, { signal: caller.signal });
    await pass(1);
    caller.abort(enough);
    await pass(0);
    const asked = () => fake.made("POST", ACQUIRE).map(({ body }) => body);
    return { fake, agent, grant, lock, asked };
  }

  it("an aborted wait leaves the queue", async () => {
    const { fake, lock, asked } = await givenUp(held);
    expect(await lock.outcome).toBe(enough);
    expect(asked().slice(1)).toEqual([left]);
    await pass(60);
    expect(asked()).toHaveLength(2);
    expect(fake.made("POST", RELEASE)).toEqual([]);
  });

  it("an aborted wait releases the lock that was granted meanwhile", async () => {
    const { fake, lock } = await givenUp(() =>
      json({ lock: { resource: "db/orders", fencing_token: 7, ttl_seconds: 30 } }),
    );
    expect(await lock.outcome).toBe(enough);
    expect(fake.made("POST", RELEASE).map(({ body }) => body)).toEqual([{ fencing_token: 7 }]);
    expect(lock.token).toBeNull();
  });

  it("an aborted wait ends at once, and the calls to leave the queue end within a minute", async () => {
    for (const answering of [silence, noAnswer]) {
      const { lock, asked } = await givenUp(answering);
      expect(await lock.outcome).toBe(enough);
      await pass(60);
      expect(asked().length).toBeGreaterThan(2);
      expect(asked().length).toBeLessThan(7);
      const before = asked().length;
      await pass(600);
      expect(asked()).toHaveLength(before);
    }
  });

  it("an aborted wait never releases the lock of another task of this agent", async () => {
    const answer = Promise.withResolvers<Response>();
    const answers: Answering[] = [() => answer.promise];
    const { fake, agent, grant, asked } = await givenUp(...answers);
    // Not before it is certain what became of the first: both have the same holder, this agent.
    const next = holding(agent, { waitSeconds: 0 });
    await pass(0.1);
    expect(asked()).toHaveLength(2);
    fake.on("POST", ACQUIRE, grant);
    answer.resolve(json({ lock: { resource: "db/orders", fencing_token: 0, ttl_seconds: 30 } }));
    await pass(0);
    expect(next.token).toBe(1);
    await pass(5);
    const order = fake.calls
      .filter(({ path }) => /locks/.test(path))
      .map(({ path }) => path.split("/").at(-1));
    expect(order).toEqual(["acquire", "acquire", "release", "acquire"]);
    next.end();
    await pass(0);
    expect(fake.made("POST", RELEASE).map(({ body }) => body)).toEqual([
      { fencing_token: 0 },
      { fencing_token: 1 },
    ]);
  });

  it("an aborted wait makes no call when it was not in the queue of the coordinator", async () => {
    const { fake, agent } = await agentWithLocks();
    const first = holding(agent);
    const caller = new AbortController();
    const second = holding(agent, { signal: caller.signal });
    await pass(1);
    caller.abort(enough);
    expect(await second.outcome).toBe(enough);
    first.end();
    expect(await first.outcome).toBe("done");
    expect(await holding(agent, { signal: caller.signal }).outcome).toBe(enough);
    await pass(20);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
    expect(fake.made("POST", RELEASE)).toHaveLength(1);
  });

  it("a wait that got no answer leaves the queue when the coordinator is reachable again", async () => {
    const { fake, agent, grant } = await agentWithLocks();
    fake.on("POST", ACQUIRE, noAnswer);
    const lock = holding(agent, { waitSeconds: 2 });
    await pass(2.5);
    expect(await lock.outcome).toBeInstanceOf(ConnectionError);
    fake.on("POST", ACQUIRE, grant);
    await pass(2);
    expect(fake.made("POST", ACQUIRE).at(-1)?.body).toEqual(left);
    expect(fake.made("POST", RELEASE).map(({ body }) => body)).toEqual([{ fencing_token: 1 }]);
  });

  it("a stopping agent ends its waits by unregistering", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", ACQUIRE, silence);
    const lock = holding(agent);
    await pass(1);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(0.1);
    await stopping;
    expect(await lock.outcome).toBeInstanceOf(TaskRevokedError);
    expect(fake.made("DELETE", /./)).toHaveLength(1);
    await pass(60);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
  });
});

describe("the signal of a held lock", () => {
  it("the signal is aborted before its agent unregisters", async () => {
    const { fake, agent } = await agentWithLocks();
    const lock = holding(agent, { ttlSeconds: 3600 });
    await pass(1);
    let wasAborted: boolean | null = null;
    fake.on("DELETE", /agents/, () => {
      wasAborted = lock.abortedAtMs !== null;
      return json({});
    });
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(2);
    await stopping;
    expect(wasAborted).toBe(true);
    lock.end();
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
  });

  it("a function that reacts to its signal ends before the agent unregisters", async () => {
    const { fake, agent } = await agentWithLocks();
    const lock = agent
      .withLock(
        "db/orders",
        (_, signal) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
      )
      .catch((error: unknown) => error);
    await pass(1);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(2);
    await stopping;
    expect(await lock).toBeInstanceOf(LockLostError);
    const last = fake.calls.slice(-2).map(({ method, path }) => `${method} ${path.split("/").at(-1)}`);
    expect(last).toEqual(["POST release", "DELETE a"]);
  });

  it("the signal is aborted at once when any call reports the end of the incarnation", async () => {
    const { fake, agent } = await agentWithLocks();
    fake.on("POST", /messages$/, ({ headers }) =>
      headers.get("Authorization") === "Bearer token-1"
        ? problem(410, "session_expired")
        : json({ message: {} }),
    );
    const lock = holding(agent, { ttlSeconds: 3600 });
    await pass(1);
    void agent.sendMessage("b", { message_type: "note", content: 1 });
    await pass(0);
    expect(lock.abortedAtMs).not.toBeNull();
    lock.end();
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
    await pass(1);
    // The next incarnation's locks are its own.
    const next = holding(agent, { ttlSeconds: 3600 });
    await pass(60);
    expect([next.token, next.abortedAtMs]).toEqual([2, null]);
    next.end();
    expect(await next.outcome).toBe("done");
  });

  it("the signal is aborted after a heartbeat timeout without contact", async () => {
    const { fake, agent } = await agentWithLocks({ intervalSeconds: 10, timeoutSeconds: 30 });
    const lock = holding(agent, { ttlSeconds: 3600 });
    await pass(1);
    const lastAnsweredMs = performance.now() - 1000;
    fake.on("POST", /./, noAnswer).on("GET", /./, noAnswer);
    await pass(28.9);
    expect(lock.abortedAtMs).toBeNull();
    await pass(1);
    expect(lock.abortedAtMs).toBeLessThanOrEqual(lastAnsweredMs + 30_000);
    lock.end();
    await pass(30);
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
  });

  it("locks acquired after an outage are kept when the incarnation has survived it", async () => {
    const { fake, agent, grant } = await agentWithLocks({ intervalSeconds: 10, timeoutSeconds: 30 });
    fake.on("POST", /./, noAnswer);
    await pass(45);
    fake.on("POST", /heartbeat$|release$/, () => json({})).on("POST", ACQUIRE, grant);
    await pass(20);
    const lock = holding(agent, { ttlSeconds: 3600 });
    await pass(20);
    expect([lock.token, lock.abortedAtMs]).toEqual([1, null]);
    lock.end();
    await pass(1);
    expect(await lock.outcome).toBe("done");
  });

  it("the signal is aborted from the start when the grant belongs to an earlier incarnation", async () => {
    const { fake, agent } = await agentWithLocks();
    const late = Promise.withResolvers<Response>();
    fake.on("POST", ACQUIRE, () => late.promise);
    fake.inTurn(
      "POST",
      /messages$/,
      () => problem(410, "session_expired"),
      () => json({ message: {} }),
    );
    const lock = holding(agent);
    await pass(0);
    void agent.sendMessage("b", { message_type: "note", content: 1 });
    await pass(1);
    expect(agent.incarnation).toBe(2);
    late.resolve(
      json({ lock: { resource: "db/orders", incarnation: 1, fencing_token: 1, ttl_seconds: 30 } }),
    );
    expect(await lock.outcome).toBeInstanceOf(LockLostError);
    expect(lock.token).toBeNull();
  });
});

describe("tasks of one agent that want the same lock", () => {
  it("two tasks never hold the lock together although one between them timed out", async () => {
    const { fake, agent } = await agentWithLocks();
    const first = holding(agent, { ttlSeconds: 3600 });
    const second = holding(agent, { waitSeconds: 1 });
    await pass(1.5);
    expect(await second.outcome).toBeInstanceOf(LockHeldError);
    const third = holding(agent, { waitSeconds: 60 });
    await pass(5);
    expect([first.token, third.token]).toEqual([1, null]);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
    first.end();
    await pass(0);
    expect(third.token).toBe(2);
    third.end();
    expect(await third.outcome).toBe("done");
  });

  it("two tasks never hold the lock together although one between them was aborted", async () => {
    const { fake, agent } = await agentWithLocks();
    const first = holding(agent);
    const caller = new AbortController();
    const second = holding(agent, { signal: caller.signal });
    await pass(1);
    caller.abort(new Error("enough"));
    expect(await second.outcome).toEqual(new Error("enough"));
    const third = holding(agent);
    await pass(5);
    expect([first.token, third.token]).toEqual([1, null]);
    expect(fake.made("POST", ACQUIRE)).toHaveLength(1);
    first.end();
    await pass(0);
    expect(third.token).toBe(2);
    third.end();
    expect(await third.outcome).toBe("done");
  });

  it("tasks take turns, each with its own grant", async () => {
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

  it("a task that waits too long rejects, and the next one still gets its turn", async () => {
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
