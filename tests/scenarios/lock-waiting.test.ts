/** Waiting for locks: one holder at a time, first come first served, and no waiter is lost. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { Lock } from "../../src/contract/lock.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import type { AgentGroup } from "../../src/services/agent-group/agent-group.ts";
import { agentPrincipal } from "../support/principals.ts";
import { bad, good, granted, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

/** Enough for messages between objects to arrive. */
const MESSAGE_MS = 50;
const SECOND_LOOK_MS = 30;

/** The longest wait that the contract allows. */
const WAIT_MS = 30_000;

const RUNS = process.env.LONG ? 2000 : 150;

class LockScenario extends ScriptedCluster {
  readonly group = this.cluster.group("default");

  serve<Result>(call: (service: AgentGroup) => Result): Result {
    return this.group.serve(call);
  }

  /** Asks for the lock and waits in its queue. @returns the lock if it was free */
  queue(id: string, resource = "disk", waitMs = WAIT_MS, ttlSeconds = 600): Lock | null {
    return good(
      this.serve((service) =>
        service.locks.acquire(
          resource,
          { agent_id: id, ttl_seconds: ttlSeconds, wait_seconds: waitMs / 1000 },
          agentPrincipal(id, this.incarnationOf(id)),
        ),
      ),
    ).lock;
  }

  tryAcquire(id: string, resource = "disk", ttlSeconds = 600, waitSeconds?: number) {
    const asked = { agent_id: id, ttl_seconds: ttlSeconds, wait_seconds: waitSeconds };
    return this.serve((service) =>
      service.locks.acquire(resource, asked, agentPrincipal(id, this.incarnationOf(id))),
    );
  }

  release({ resource, fencing_token }: Lock): Lock {
    return good(this.serve((service) => service.locks.release(resource, fencing_token, ADMIN)));
  }

  holder(resource = "disk"): string | null {
    const lock = this.serve((service) => service.locks.get(resource));
    return lock.ok ? lock.value.holder : null;
  }

  waiters(resource = "disk"): string[] {
    const lock = this.serve((service) => service.locks.get(resource));
    return lock.ok ? lock.value.waiters : [];
  }

  /** The agents in the queue, also while no agent holds the lock. */
  queueOf(resource: string): string[] {
    const rows = this.group.database.prepare(
      "SELECT agent_id FROM lock_waiters WHERE resource = ? ORDER BY position",
    );
    return rows.all(resource).map(({ agent_id }) => String(agent_id));
  }

  /** The lock as its holder gets it when it asks again. */
  held(id: string, resource = "disk"): Lock {
    return granted(this.tryAcquire(id, resource));
  }

  reportFailed(id: string): void {
    void this.serve((service) => service.reportFailure(id, { failure_type: "reported" }));
  }

  rows(): number {
    return Number(this.group.database.prepare("SELECT count(*) AS count FROM lock_waiters").get()?.count);
  }
}

async function scenarioWith(ids: string[], config: ConfigInput = {}): Promise<LockScenario> {
  const scenario = new LockScenario(config);
  for (const id of ids) await scenario.register(id);
  return scenario;
}

describe("a held lock", () => {
  it("goes to its waiters in order, under a new token each, when it is released", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    const first = scenario.queue("a");
    expect(scenario.queue("b")).toBeNull();
    expect(scenario.queue("c")).toBeNull();
    expect(scenario.waiters()).toEqual(["b", "c"]);
    if (first === null) throw new Error("it was free");

    expect(scenario.release(first)).toMatchObject({ holder: null, waiters: ["c"] });
    expect(scenario.holder()).toBe("b");
    const second = scenario.held("b");
    expect(second.fencing_token).toBeGreaterThan(first.fencing_token);
    scenario.release(second);
    expect(scenario.held("c").fencing_token).toBeGreaterThan(second.fencing_token);
    expect(scenario.rows()).toBe(0);
  });

  it("is not granted to a caller that is not first in the queue, although it has just become free", async () => {
    const scenario = await scenarioWith(["a", "b", "c"], { lock_config: { lock_delay_seconds: 2 } });
    scenario.queue("a");
    scenario.queue("b");
    scenario.reportFailed("a");
    await scenario.pass(1500);
    expect(scenario.tryAcquire("c")).toMatchObject({ ok: false, problem: { evidence: { holder: null } } });
    // The delay has passed, and the alarm has not run yet.
    scenario.world.nowMs += 500;
    expect(scenario.tryAcquire("c")).toMatchObject({ ok: false, problem: { evidence: { holder: "b" } } });
  });

  it.each([
    { end: "its holder's failure", act: (scenario: LockScenario) => scenario.reportFailed("a") },
    {
      end: "its holder's leaving",
      act: (scenario: LockScenario) => void scenario.serve((s) => s.unregister("a", ADMIN)),
    },
    { end: "its holder's new registration", act: (scenario: LockScenario) => scenario.register("a") },
    {
      end: "an operator's hand",
      act: (scenario: LockScenario) => void good(scenario.serve((s) => s.locks.breakLock("disk"))),
    },
  ])("goes to the next waiter by $end", async ({ act }) => {
    const scenario = await scenarioWith(["a", "b"]);
    scenario.queue("a");
    scenario.queue("b");
    await act(scenario);
    await scenario.pass(MESSAGE_MS);
    expect(scenario.holder()).toBe("b");
  });

  it("goes to the next waiter when its TTL ends, and not before", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    scenario.queue("a", "disk", WAIT_MS, 5);
    scenario.queue("b");
    await scenario.pass(4999);
    expect(scenario.holder()).toBe("a");
    await scenario.pass(1 + SECOND_LOOK_MS + 1);
    expect(scenario.holder()).toBe("b");
  });

  it("goes to the next waiter only after the lock delay that follows a failure", async () => {
    const scenario = await scenarioWith(["a", "b"], { lock_config: { lock_delay_seconds: 3 } });
    scenario.queue("a");
    scenario.queue("b");
    scenario.reportFailed("a");
    await scenario.pass(2999);
    expect(scenario.holder()).toBeNull();
    await scenario.pass(2);
    expect(scenario.holder()).toBe("b");
  });

  it("skips waiters that have unregistered, have failed, or whose wait has ended", async () => {
    const scenario = await scenarioWith(["a", "failed", "late", "again", "b"]);
    const lock = scenario.queue("a");
    scenario.queue("failed");
    scenario.queue("late", "disk", 1000);
    scenario.queue("again");
    scenario.queue("b");
    scenario.reportFailed("failed");
    await scenario.register("again");
    expect(scenario.waiters()).toEqual(["late", "b"]);
    // Its wait has ended, and the alarm has not run yet.
    scenario.world.nowMs += 2000;
    if (lock !== null) scenario.release(lock);
    expect(scenario.holder()).toBe("b");
    expect(scenario.rows()).toBe(0);
  });
});

describe("a queue position", () => {
  it("is kept when its agent asks again, until the last wait that it asked for ends", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    scenario.queue("a");
    scenario.queue("b", "disk", 5000);
    scenario.queue("c");
    await scenario.pass(4000);
    scenario.queue("b", "disk", 5000);
    expect(scenario.waiters()).toEqual(["b", "c"]);
    await scenario.pass(4000);
    expect(scenario.waiters()).toEqual(["b", "c"]);
    await scenario.pass(1001);
    expect(scenario.waiters()).toEqual(["c"]);
    expect(scenario.rows()).toBe(1);
  });

  it("ends when its call leaves the queue, unless another call has asked for it since", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    scenario.queue("a");
    const asked = good(
      scenario.serve((service) =>
        service.locks.acquire(
          "disk",
          { agent_id: "b", wait_seconds: 5 },
          agentPrincipal("b", scenario.incarnationOf("b")),
        ),
      ),
    );
    const waitsUntilMs = asked.lock === null ? asked.waitsUntilMs : 0;
    await scenario.pass(10);
    scenario.queue("b", "disk", 5000);
    scenario.serve((service) => service.locks.leaveQueue("disk", "b", waitsUntilMs));
    expect(scenario.waiters()).toEqual(["b"]);
    scenario.serve((service) => service.locks.leaveQueue("disk", "b", waitsUntilMs + 10));
    expect(scenario.waiters()).toEqual([]);
  });

  it("ends when its agent asks again with a wait of 0, and is kept when it asks without a wait", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    const held = scenario.queue("a");
    scenario.queue("b");
    scenario.queue("c");
    expect(bad(scenario.tryAcquire("b"))).toMatchObject({ code: "lock_held", evidence: { holder: "a" } });
    expect(scenario.waiters()).toEqual(["b", "c"]);
    expect(bad(scenario.tryAcquire("b", "disk", 600, 0))).toMatchObject({ code: "lock_held" });
    expect(scenario.waiters()).toEqual(["c"]);
    expect(scenario.rows()).toBe(1);
    if (held !== null) scenario.release(held);
    expect(scenario.holder()).toBe("c");
  });

  it("does not come back when a call that lost it is repeated, nor does the lock", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    const held = scenario.queue("a");
    const ask = (waitMs: number, position: number | null) =>
      scenario.serve((service) =>
        service.locks.acquire(
          "disk",
          { agent_id: "b", wait_seconds: waitMs === 0 ? undefined : waitMs / 1000, position },
          agentPrincipal("b", scenario.incarnationOf("b")),
        ),
      );
    const asked = good(ask(WAIT_MS, null));
    const position = asked.lock === null ? asked.position : null;
    expect(good(ask(WAIT_MS, position))).toMatchObject({ lock: null, position });
    scenario.tryAcquire("b", "disk", 600, 0);
    expect(bad(ask(WAIT_MS, position))).toMatchObject({ code: "lock_held", evidence: { holder: "a" } });
    if (held !== null) scenario.release(held);
    expect(bad(ask(WAIT_MS, position))).toMatchObject({ code: "lock_held", evidence: { holder: null } });
    expect(scenario.holder()).toBeNull();
    // Another call of the same agent is not affected.
    expect(good(ask(WAIT_MS, null)).lock).toMatchObject({ holder: "b" });
    expect(good(ask(0, position)).lock).toMatchObject({ holder: "b" });
  });

  it("is kept over a restart, with the whole wait again", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    scenario.queue("a");
    scenario.queue("b", "disk", 4000);
    scenario.queue("c", "disk", 4000);
    await scenario.pass(1000);
    scenario.cluster.kill();
    await scenario.pass(3500);
    scenario.cluster.start();
    await scenario.pass(3900);
    expect(scenario.waiters()).toEqual(["b", "c"]);
    await scenario.pass(200);
    expect(scenario.waiters()).toEqual([]);
  });

  it("grants the lock again to a holder whose answer was lost", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    const lock = scenario.queue("a");
    scenario.queue("b");
    if (lock !== null) scenario.release(lock);
    const granted = scenario.held("b");
    await scenario.pass(1000);
    const again = scenario.queue("b");
    expect(again).toMatchObject({ fencing_token: granted.fencing_token, acquired_at: granted.acquired_at });
    expect(Date.parse(again?.expires_at ?? "")).toBeGreaterThan(Date.parse(granted.expires_at ?? ""));
  });

  it("is refused to an agent that waits for a thousand locks, and so is a lock to one that holds a thousand", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    const lockOf = (index: number) => `lock-${index}`;
    for (let index = 0; index < 1000; index++) scenario.queue("a", lockOf(index));
    expect(scenario.tryAcquire("a", "one more")).toMatchObject({ problem: { code: "limit_reached" } });
    scenario.queue("c", "one more");
    for (let index = 0; index < 1000; index++) scenario.queue("b", lockOf(index));
    const refused = scenario.serve((service) =>
      service.locks.acquire(
        "one more",
        { agent_id: "b", wait_seconds: 1 },
        agentPrincipal("b", scenario.incarnationOf("b")),
      ),
    );
    expect(refused).toMatchObject({ ok: false, problem: { code: "limit_reached" } });
    // Asking again takes no further position.
    expect(scenario.queue("b", lockOf(0))).toBeNull();
  });
});

describe("a socket frame that waits for a lock", () => {
  it("is acknowledged as queued, and answered under its own id when the lock is granted", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    const held = scenario.queue("a");
    const socket = scenario.connect("b");
    socket.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    await scenario.pass(MESSAGE_MS);
    expect(socket.received).toEqual([{ type: "ack", request_id: "1", queued: true }]);
    if (held !== null) scenario.release(held);
    expect(socket.received.at(-1)).toMatchObject({
      type: "lock_granted",
      request_id: "1",
      lock: { holder: "b", waiters: [] },
    });
  });

  it("is answered with the holder when its wait ends", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    scenario.queue("a");
    const socket = scenario.connect("b");
    socket.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 2 });
    socket.send({ type: "lock_acquire", request_id: "2", resource: "disk" });
    await scenario.pass(1990);
    expect(socket.received).toMatchObject([
      { type: "ack", queued: true },
      { type: "error", request_id: "2", code: "lock_held", holder: "a" },
    ]);
    await scenario.pass(20);
    expect(socket.received.at(-1)).toMatchObject({
      type: "error",
      request_id: "1",
      code: "lock_held",
      holder: "a",
      expires_at: expect.any(String),
    });
    expect(scenario.rows()).toBe(0);
  });

  it("is answered after the frames before it, although the lock is granted at once", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    const held = scenario.queue("a");
    const a = scenario.connect("a");
    const b = scenario.connect("b");
    b.send({ type: "task_start", request_id: "0", task_id: "nothing", attempt: 1 });
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    a.send({ type: "lock_release", request_id: "2", resource: "disk", fencing_token: held?.fencing_token });
    await scenario.pass(MESSAGE_MS);
    expect(b.received.map((frame) => [frame.type, "request_id" in frame ? frame.request_id : null])).toEqual([
      ["error", "0"],
      ["ack", "1"],
      ["lock_granted", "1"],
    ]);
  });

  it("loses its position when its socket closes normally, and keeps it when the socket breaks", async () => {
    const scenario = await scenarioWith(["a", "b", "c"]);
    scenario.queue("a");
    const b = scenario.connect("b");
    const c = scenario.connect("c");
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    c.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    await scenario.pass(MESSAGE_MS);
    expect(scenario.waiters()).toEqual(["b", "c"]);
    b.close();
    c.break();
    expect(scenario.waiters()).toEqual(["c"]);
    const back = scenario.connect("c");
    back.send({ type: "lock_acquire", request_id: "9", resource: "disk", wait_seconds: 30 });
    await scenario.pass(MESSAGE_MS);
    scenario.release(scenario.held("a"));
    expect(back.frames("lock_granted")).toMatchObject([{ request_id: "9", lock: { holder: "c" } }]);
  });
});

/** One random step. Agents and locks are few, so that they compete. */
type Step =
  | { do: "queue"; id: string; name: string; waitMs: number }
  | { do: "acquire" | "leave" | "give up"; id: string; name: string }
  | { do: "release" | "break"; name: string }
  | { do: "reregister"; id: string }
  | { do: "evict" | "crash" | "restart" }
  | { do: "pass"; durationMs: number };

const AGENTS = ["a", "b", "c", "d", "e"];
const RESOURCES = ["disk", "tape"];
const id = fc.constantFrom(...AGENTS);
const name = fc.constantFrom(...RESOURCES);
const weighted = (weight: number, arbitrary: fc.Arbitrary<Step>) => ({ weight, arbitrary });
const step: fc.Arbitrary<Step> = fc.oneof(
  weighted(
    6,
    fc.record({ do: fc.constant("queue" as const), id, name, waitMs: fc.constantFrom(500, 5000, WAIT_MS) }),
  ),
  weighted(
    3,
    fc.record({ do: fc.constantFrom("acquire" as const, "leave" as const, "give up" as const), id, name }),
  ),
  weighted(3, fc.record({ do: fc.constant("release" as const), name })),
  weighted(1, fc.record({ do: fc.constant("break" as const), name })),
  weighted(1, fc.record({ do: fc.constant("reregister" as const), id })),
  weighted(1, fc.record({ do: fc.constantFrom("evict" as const, "crash" as const, "restart" as const) })),
  weighted(3, fc.record({ do: fc.constant("pass" as const), durationMs: fc.constantFrom(10, 400, 3000) })),
);

/** A wait prolonged by less than this is not stored: an instance that was evicted may have known a later end. */
const UNSTORED_MS = 1000;

type Wait = { untilMs: number; waitMs: number; extensions: number };

/** What the queues should contain, computed beside the real ones. */
class Model {
  readonly #scenario: LockScenario;
  readonly #delayMs: number;
  readonly #queues = new Map(RESOURCES.map((resource) => [resource, new Map<string, Wait>()]));
  readonly #tokens = new Map<string, number>();
  /** Until when a lock that its holder lost stays free. */
  readonly #closedUntilMs = new Map<string, number>();

  constructor(scenario: LockScenario, delayMs: number) {
    this.#scenario = scenario;
    this.#delayMs = delayMs;
  }

  async run(next: Step): Promise<void> {
    switch (next.do) {
      case "queue":
        return this.#queue(next.id, next.name, next.waitMs);
      case "acquire":
        this.#scenario.tryAcquire(next.id, next.name);
        return;
      case "leave":
        this.#scenario.serve((service) =>
          service.locks.leaveQueue(next.name, next.id, Number.POSITIVE_INFINITY),
        );
        this.#queueOf(next.name).delete(next.id);
        return;
      case "give up":
        if (!this.#scenario.tryAcquire(next.id, next.name, 600, 0).ok)
          this.#queueOf(next.name).delete(next.id);
        return;
      case "release": {
        const holder = this.#scenario.holder(next.name);
        if (holder !== null) this.#scenario.release(this.#scenario.held(holder, next.name));
        return;
      }
      case "break":
        if (this.#scenario.holder(next.name) === null) return;
        this.#close(next.name);
        good(this.#scenario.serve((service) => service.locks.breakLock(next.name)));
        return;
      case "reregister":
        for (const resource of RESOURCES) {
          if (this.#scenario.holder(resource) === next.id) this.#close(resource);
          this.#queueOf(resource).delete(next.id);
        }
        return this.#scenario.register(next.id);
      case "evict":
        return this.#scenario.group.evict();
      case "crash":
        return this.#scenario.group.end();
      case "restart":
        this.#scenario.cluster.kill();
        this.#scenario.cluster.start();
        return this.#extendWaits();
      case "pass":
        return this.#scenario.pass(next.durationMs);
    }
  }

  /** An agent that left a queue had the lock in its turn or waited long enough; a free lock has an empty queue. */
  check(): void {
    for (const resource of RESOURCES) {
      const lock = this.#scenario.serve((service) => service.locks.get(resource));
      const queue = this.#queueOf(resource);
      if (!lock.ok) {
        const isClosed = this.#nowMs <= (this.#closedUntilMs.get(resource) ?? 0);
        if (!isClosed)
          expect([...queue.keys()].filter((one) => this.#surelyWaits(resource, one))).toEqual([]);
        continue;
      }
      const { holder, fencing_token, waiters } = lock.value;
      const known = this.#tokens.get(resource) ?? 0;
      expect(fencing_token).toBeGreaterThanOrEqual(known);
      this.#tokens.set(resource, fencing_token);
      if (fencing_token > known && holder !== null) this.#checkTurn(resource, holder);
      for (const one of [...queue.keys()]) {
        if (waiters.includes(one)) continue;
        if (one !== holder) expect(this.#surelyWaits(resource, one), `${one} was lost`).toBe(false);
        queue.delete(one);
      }
      expect(waiters).toEqual([...queue.keys()]);
    }
  }

  /** No agent that certainly still waits was ahead of the holder. */
  #checkTurn(resource: string, holder: string): void {
    const order = [...this.#queueOf(resource).keys()];
    const before = order.includes(holder) ? order.slice(0, order.indexOf(holder)) : order;
    expect(before.filter((one) => this.#surelyWaits(resource, one))).toEqual([]);
  }

  #queue(one: string, resource: string, waitMs: number): void {
    if (this.#scenario.queue(one, resource, waitMs) !== null) return;
    const queue = this.#queueOf(resource);
    const known = queue.get(one);
    // Its position may have ended at this very moment; then the agent is now last.
    const isKept =
      known !== undefined && this.#scenario.queueOf(resource).indexOf(one) <= [...queue.keys()].indexOf(one);
    if (known !== undefined && !isKept) queue.delete(one);
    const untilMs = Math.max(isKept ? known.untilMs : 0, this.#nowMs + waitMs);
    queue.set(one, { untilMs, waitMs, extensions: 0 });
  }

  #extendWaits(): void {
    for (const queue of this.#queues.values()) {
      for (const [one, wait] of queue) {
        if (wait.extensions >= 2) continue;
        const untilMs = Math.max(wait.untilMs, this.#nowMs + wait.waitMs);
        queue.set(one, { ...wait, untilMs, extensions: wait.extensions + 1 });
      }
    }
  }

  #close(resource: string): void {
    this.#closedUntilMs.set(resource, this.#nowMs + this.#delayMs);
  }

  #surelyWaits(resource: string, one: string): boolean {
    return (this.#queueOf(resource).get(one)?.untilMs ?? 0) - UNSTORED_MS > this.#nowMs;
  }

  #queueOf(resource: string): Map<string, Wait> {
    return this.#queues.get(resource) ?? new Map();
  }

  get #nowMs(): number {
    return this.#scenario.world.nowMs;
  }
}

describe("a lock request whose socket has closed before the group serves it", () => {
  it("takes neither a queue position nor a lock", async () => {
    const scenario = await scenarioWith(["a", "b"]);
    const held = scenario.queue("a");
    const b = scenario.connect("b");
    await scenario.pass(50);
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    b.send({ type: "lock_acquire", request_id: "2", resource: "tape" });
    b.close();
    await scenario.pass(50);
    expect(scenario.waiters()).toEqual([]);
    expect(scenario.holder("tape")).toBeNull();
    if (held !== null) scenario.release(held);
    expect(scenario.holder()).toBeNull();
  });
});

describe("the queue of a lock, under random steps with crashes and restarts", () => {
  it.each([{ delayMs: 0 }, { delayMs: 1000 }])(
    "has one holder at a time, keeps its order, and loses no waiter (delay $delayMs ms)",
    async ({ delayMs }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
          const scenario = await scenarioWith(AGENTS, {
            lock_config: { lock_delay_seconds: delayMs / 1000 },
          });
          const model = new Model(scenario, delayMs);
          for (const next of steps) {
            await model.run(next);
            model.check();
          }
        }),
        { numRuns: RUNS },
      );
    },
    120_000,
  );
});
