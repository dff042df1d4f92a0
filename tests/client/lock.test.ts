/** `withLock`: whoever holds a lock believes in it for less long than the coordinator does. */
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

describe("a wait that is given up", () => {
  const enough = new Error("enough");
  const left = { agent_id: "a", ttl_seconds: 30, wait_seconds: 0 };

  /** Waits in line, then is told to stop; the answers are to what is asked after that. */
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

  it("gives up the place in line too", async () => {
    const { fake, lock, asked } = await givenUp(held);
    expect(await lock.outcome).toBe(enough);
    expect(asked().slice(1)).toEqual([left]);
    await pass(60);
    expect(asked()).toHaveLength(2);
    expect(fake.made("POST", RELEASE)).toEqual([]);
  });

  it("gives back the lock that was granted meanwhile", async () => {
    const { fake, lock } = await givenUp(() =>
      json({ lock: { resource: "db/orders", fencing_token: 7, ttl_seconds: 30 } }),
    );
    expect(await lock.outcome).toBe(enough);
    expect(fake.made("POST", RELEASE).map(({ body }) => body)).toEqual([{ fencing_token: 7 }]);
    expect(lock.token).toBeNull();
  });

  it("ends at once, and is not for ever told to a coordinator that does not answer", async () => {
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

  it("gives back nothing that another task of this agent has got since", async () => {
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

  it("has nothing to give up while another task of this agent has the lock, or before it began", async () => {
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

  it("because nobody answers leaves nothing behind when somebody does again", async () => {
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

  it("because its agent stops ends with the registration, which had the place", async () => {
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

describe("the signal of a lock that is held", () => {
  it("is aborted before its agent unregisters, which frees the lock", async () => {
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

  it("is aborted early enough for its holder to end before the agent unregisters", async () => {
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

  it("is aborted at once when its agent's incarnation is over, however it learns of it", async () => {
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

  it("is aborted when its agent has been out of touch for its timeout, for then it counts as failed", async () => {
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

  it("is not aborted any more when the coordinator that was away has kept the incarnation", async () => {
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

  it("is not believed in at all if the grant is told to the incarnation after the one it was made to", async () => {
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

describe("two tasks of one agent that want the same lock", () => {
  it("never hold it together, though one in between has given up", async () => {
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

  it("never hold it together, though one in between was told to give up", async () => {
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
