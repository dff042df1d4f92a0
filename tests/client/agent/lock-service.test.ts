/** `withLock`: an agent treats its lock as lost before the coordinator can grant it to another. */
import { describe, expect, it } from "vitest";
import { LockHeldError, LockLostError } from "../../../client/src/index.ts";
import { json, noAnswer, pass, problem, silence } from "../fakes.ts";
import { agentSuite } from "./agent-fixture.ts";
import { ACQUIRE, agentWithLocks, holding, RELEASE, RENEW } from "./lock-fixture.ts";

agentSuite();

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
