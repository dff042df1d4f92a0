/** Waiting for a lock, and leaving its queue. */
import { describe, expect, it } from "vitest";
import { ConnectionError, LockHeldError, TaskRevokedError } from "../../../client/src/index.ts";
import { type Answering, json, noAnswer, pass, silence } from "../fakes.ts";
import { agentSuite } from "./agent-fixture.ts";
import { ACQUIRE, agentWithLocks, held, holding, RELEASE, RENEW } from "./lock-fixture.ts";

agentSuite();

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
