/** Waiting for locks: one holder at a time, first come first served, and nobody is forgotten. */
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

/** Longest wait that the contract knows. */
const WAIT_MS = 30_000;

const RUNS = process.env.LONG ? 2000 : 150;

class Locksmith extends ScriptedCluster {
  readonly group = this.cluster.group("default");

  serve<Result>(call: (service: AgentGroup) => Result): Result {
    return this.group.serve(call);
  }

  /** Stands in line. @returns the lock if it was free */
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

  /** Who stands in line, also while nobody holds the lock. */
  line(resource: string): string[] {
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

async function smithWith(ids: string[], config: ConfigInput = {}): Promise<Locksmith> {
  const smith = new Locksmith(config);
  for (const id of ids) await smith.register(id);
  return smith;
}

describe("a lock that is held", () => {
  it("goes to who waits, in order, under a new token each, at release", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    const first = smith.queue("a");
    expect(smith.queue("b")).toBeNull();
    expect(smith.queue("c")).toBeNull();
    expect(smith.waiters()).toEqual(["b", "c"]);
    if (first === null) throw new Error("it was free");

    expect(smith.release(first)).toMatchObject({ holder: null, waiters: ["c"] });
    expect(smith.holder()).toBe("b");
    const second = smith.held("b");
    expect(second.fencing_token).toBeGreaterThan(first.fencing_token);
    smith.release(second);
    expect(smith.held("c").fencing_token).toBeGreaterThan(second.fencing_token);
    expect(smith.rows()).toBe(0);
  });

  it("is not taken by who asks out of turn, though it is just free", async () => {
    const smith = await smithWith(["a", "b", "c"], { lock_config: { lock_delay_seconds: 2 } });
    smith.queue("a");
    smith.queue("b");
    smith.reportFailed("a");
    await smith.pass(1500);
    expect(smith.tryAcquire("c")).toMatchObject({ ok: false, problem: { evidence: { holder: null } } });
    // The delay has just passed, and the alarm has not run yet.
    smith.world.nowMs += 500;
    expect(smith.tryAcquire("c")).toMatchObject({ ok: false, problem: { evidence: { holder: "b" } } });
  });

  it.each([
    { end: "its holder's failure", act: (smith: Locksmith) => smith.reportFailed("a") },
    {
      end: "its holder's leaving",
      act: (smith: Locksmith) => void smith.serve((s) => s.unregister("a", ADMIN)),
    },
    { end: "its holder's new life", act: (smith: Locksmith) => smith.register("a") },
    {
      end: "an operator's hand",
      act: (smith: Locksmith) => void good(smith.serve((s) => s.locks.breakLock("disk"))),
    },
  ])("goes to the next by $end", async ({ act }) => {
    const smith = await smithWith(["a", "b"]);
    smith.queue("a");
    smith.queue("b");
    await act(smith);
    await smith.pass(MESSAGE_MS);
    expect(smith.holder()).toBe("b");
  });

  it("goes to the next when its TTL passes, and not before", async () => {
    const smith = await smithWith(["a", "b"]);
    smith.queue("a", "disk", WAIT_MS, 5);
    smith.queue("b");
    await smith.pass(4999);
    expect(smith.holder()).toBe("a");
    await smith.pass(1 + SECOND_LOOK_MS + 1);
    expect(smith.holder()).toBe("b");
  });

  it("goes to the next only after the delay that follows a failure", async () => {
    const smith = await smithWith(["a", "b"], { lock_config: { lock_delay_seconds: 3 } });
    smith.queue("a");
    smith.queue("b");
    smith.reportFailed("a");
    await smith.pass(2999);
    expect(smith.holder()).toBeNull();
    await smith.pass(2);
    expect(smith.holder()).toBe("b");
  });

  it("passes over who is gone, has failed meanwhile, or whose wait is over", async () => {
    const smith = await smithWith(["a", "failed", "late", "again", "b"]);
    const lock = smith.queue("a");
    smith.queue("failed");
    smith.queue("late", "disk", 1000);
    smith.queue("again");
    smith.queue("b");
    smith.reportFailed("failed");
    await smith.register("again");
    expect(smith.waiters()).toEqual(["late", "b"]);
    // Its wait is over, and the alarm has not run yet.
    smith.world.nowMs += 2000;
    if (lock !== null) smith.release(lock);
    expect(smith.holder()).toBe("b");
    expect(smith.rows()).toBe(0);
  });
});

describe("a place in line", () => {
  it("is kept by who asks again, and lasts as long as was asked last", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    smith.queue("a");
    smith.queue("b", "disk", 5000);
    smith.queue("c");
    await smith.pass(4000);
    smith.queue("b", "disk", 5000);
    expect(smith.waiters()).toEqual(["b", "c"]);
    await smith.pass(4000);
    expect(smith.waiters()).toEqual(["b", "c"]);
    await smith.pass(1001);
    expect(smith.waiters()).toEqual(["c"]);
    expect(smith.rows()).toBe(1);
  });

  it("is given up by a call that leaves, unless another has asked for it since", async () => {
    const smith = await smithWith(["a", "b"]);
    smith.queue("a");
    const asked = good(
      smith.serve((service) =>
        service.locks.acquire(
          "disk",
          { agent_id: "b", wait_seconds: 5 },
          agentPrincipal("b", smith.incarnationOf("b")),
        ),
      ),
    );
    const waitsUntilMs = asked.lock === null ? asked.waitsUntilMs : 0;
    await smith.pass(10);
    smith.queue("b", "disk", 5000);
    smith.serve((service) => service.locks.leaveQueue("disk", "b", waitsUntilMs));
    expect(smith.waiters()).toEqual(["b"]);
    smith.serve((service) => service.locks.leaveQueue("disk", "b", waitsUntilMs + 10));
    expect(smith.waiters()).toEqual([]);
  });

  it("is given up by who asks again with a wait of 0, and kept by who asks without one", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    const held = smith.queue("a");
    smith.queue("b");
    smith.queue("c");
    expect(bad(smith.tryAcquire("b"))).toMatchObject({ code: "lock_held", evidence: { holder: "a" } });
    expect(smith.waiters()).toEqual(["b", "c"]);
    expect(bad(smith.tryAcquire("b", "disk", 600, 0))).toMatchObject({ code: "lock_held" });
    expect(smith.waiters()).toEqual(["c"]);
    expect(smith.rows()).toBe(1);
    if (held !== null) smith.release(held);
    expect(smith.holder()).toBe("c");
  });

  it("does not come back with the call that lost it, and the lock does not either", async () => {
    const smith = await smithWith(["a", "b"]);
    const held = smith.queue("a");
    const ask = (waitMs: number, position: number | null) =>
      smith.serve((service) =>
        service.locks.acquire(
          "disk",
          { agent_id: "b", wait_seconds: waitMs === 0 ? undefined : waitMs / 1000, position },
          agentPrincipal("b", smith.incarnationOf("b")),
        ),
      );
    const asked = good(ask(WAIT_MS, null));
    const position = asked.lock === null ? asked.position : null;
    expect(good(ask(WAIT_MS, position))).toMatchObject({ lock: null, position });
    smith.tryAcquire("b", "disk", 600, 0);
    expect(bad(ask(WAIT_MS, position))).toMatchObject({ code: "lock_held", evidence: { holder: "a" } });
    if (held !== null) smith.release(held);
    expect(bad(ask(WAIT_MS, position))).toMatchObject({ code: "lock_held", evidence: { holder: null } });
    expect(smith.holder()).toBeNull();
    // Another call of the same agent has nothing to do with it.
    expect(good(ask(WAIT_MS, null)).lock).toMatchObject({ holder: "b" });
    expect(good(ask(0, position)).lock).toMatchObject({ holder: "b" });
  });

  it("is kept over a restart, with the whole wait again", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    smith.queue("a");
    smith.queue("b", "disk", 4000);
    smith.queue("c", "disk", 4000);
    await smith.pass(1000);
    smith.cluster.kill();
    await smith.pass(3500);
    smith.cluster.start();
    await smith.pass(3900);
    expect(smith.waiters()).toEqual(["b", "c"]);
    await smith.pass(200);
    expect(smith.waiters()).toEqual([]);
  });

  it("brings the lock once more to the holder whose answer was lost", async () => {
    const smith = await smithWith(["a", "b"]);
    const lock = smith.queue("a");
    smith.queue("b");
    if (lock !== null) smith.release(lock);
    const granted = smith.held("b");
    await smith.pass(1000);
    const again = smith.queue("b");
    expect(again).toMatchObject({ fencing_token: granted.fencing_token, acquired_at: granted.acquired_at });
    expect(Date.parse(again?.expires_at ?? "")).toBeGreaterThan(Date.parse(granted.expires_at ?? ""));
  });

  it("is refused to an agent that waits for a thousand locks, and so is a lock to one that holds as many", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    const lockOf = (index: number) => `lock-${index}`;
    for (let index = 0; index < 1000; index++) smith.queue("a", lockOf(index));
    expect(smith.tryAcquire("a", "one more")).toMatchObject({ problem: { code: "limit_reached" } });
    smith.queue("c", "one more");
    for (let index = 0; index < 1000; index++) smith.queue("b", lockOf(index));
    const refused = smith.serve((service) =>
      service.locks.acquire(
        "one more",
        { agent_id: "b", wait_seconds: 1 },
        agentPrincipal("b", smith.incarnationOf("b")),
      ),
    );
    expect(refused).toMatchObject({ ok: false, problem: { code: "limit_reached" } });
    // Asking again takes no further place.
    expect(smith.queue("b", lockOf(0))).toBeNull();
  });
});

describe("a frame that waits", () => {
  it("is acknowledged as queued, and answered under its own id when its turn comes", async () => {
    const smith = await smithWith(["a", "b"]);
    const held = smith.queue("a");
    const socket = smith.connect("b");
    socket.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    await smith.pass(MESSAGE_MS);
    expect(socket.received).toEqual([{ type: "ack", request_id: "1", queued: true }]);
    if (held !== null) smith.release(held);
    expect(socket.received.at(-1)).toMatchObject({
      type: "lock_granted",
      request_id: "1",
      lock: { holder: "b", waiters: [] },
    });
  });

  it("is told that its time is over, and by whom the lock is held", async () => {
    const smith = await smithWith(["a", "b"]);
    smith.queue("a");
    const socket = smith.connect("b");
    socket.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 2 });
    socket.send({ type: "lock_acquire", request_id: "2", resource: "disk" });
    await smith.pass(1990);
    expect(socket.received).toMatchObject([
      { type: "ack", queued: true },
      { type: "error", request_id: "2", code: "lock_held", holder: "a" },
    ]);
    await smith.pass(20);
    expect(socket.received.at(-1)).toMatchObject({
      type: "error",
      request_id: "1",
      code: "lock_held",
      holder: "a",
      expires_at: expect.any(String),
    });
    expect(smith.rows()).toBe(0);
  });

  it("has its answer after those of what was asked before, though the lock comes at once", async () => {
    const smith = await smithWith(["a", "b"]);
    const held = smith.queue("a");
    const a = smith.connect("a");
    const b = smith.connect("b");
    b.send({ type: "task_start", request_id: "0", task_id: "nothing", attempt: 1 });
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    a.send({ type: "lock_release", request_id: "2", resource: "disk", fencing_token: held?.fencing_token });
    await smith.pass(MESSAGE_MS);
    expect(b.received.map((frame) => [frame.type, "request_id" in frame ? frame.request_id : null])).toEqual([
      ["error", "0"],
      ["ack", "1"],
      ["lock_granted", "1"],
    ]);
  });

  it("gives its place up when its socket is closed in good order, and keeps it when it breaks", async () => {
    const smith = await smithWith(["a", "b", "c"]);
    smith.queue("a");
    const b = smith.connect("b");
    const c = smith.connect("c");
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    c.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    await smith.pass(MESSAGE_MS);
    expect(smith.waiters()).toEqual(["b", "c"]);
    b.close();
    c.break();
    expect(smith.waiters()).toEqual(["c"]);
    const back = smith.connect("c");
    back.send({ type: "lock_acquire", request_id: "9", resource: "disk", wait_seconds: 30 });
    await smith.pass(MESSAGE_MS);
    smith.release(smith.held("a"));
    expect(back.frames("lock_granted")).toMatchObject([{ request_id: "9", lock: { holder: "c" } }]);
  });
});

/** What happens. Agents are few and locks fewer, so that they meet. */
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

/** A wait prolonged by less than this is not stored: an instance that is gone may have known of a later end. */
const UNSTORED_MS = 1000;

type Wait = { untilMs: number; waitMs: number; credits: number };

/** Who should stand in line, beside the real thing. */
class Model {
  readonly #smith: Locksmith;
  readonly #delayMs: number;
  readonly #lines = new Map(RESOURCES.map((resource) => [resource, new Map<string, Wait>()]));
  readonly #tokens = new Map<string, number>();
  /** Until when a lock that ended against its holder's will stays free. */
  readonly #closedUntilMs = new Map<string, number>();

  constructor(smith: Locksmith, delayMs: number) {
    this.#smith = smith;
    this.#delayMs = delayMs;
  }

  async run(next: Step): Promise<void> {
    switch (next.do) {
      case "queue":
        return this.#queue(next.id, next.name, next.waitMs);
      case "acquire":
        this.#smith.tryAcquire(next.id, next.name);
        return;
      case "leave":
        this.#smith.serve((service) =>
          service.locks.leaveQueue(next.name, next.id, Number.POSITIVE_INFINITY),
        );
        this.#line(next.name).delete(next.id);
        return;
      case "give up":
        if (!this.#smith.tryAcquire(next.id, next.name, 600, 0).ok) this.#line(next.name).delete(next.id);
        return;
      case "release": {
        const holder = this.#smith.holder(next.name);
        if (holder !== null) this.#smith.release(this.#smith.held(holder, next.name));
        return;
      }
      case "break":
        if (this.#smith.holder(next.name) === null) return;
        this.#close(next.name);
        good(this.#smith.serve((service) => service.locks.breakLock(next.name)));
        return;
      case "reregister":
        for (const resource of RESOURCES) {
          if (this.#smith.holder(resource) === next.id) this.#close(resource);
          this.#line(resource).delete(next.id);
        }
        return this.#smith.register(next.id);
      case "evict":
        return this.#smith.group.evict();
      case "crash":
        return this.#smith.group.end();
      case "restart":
        this.#smith.cluster.kill();
        this.#smith.cluster.start();
        return this.#credit();
      case "pass":
        return this.#smith.pass(next.durationMs);
    }
  }

  /** Whoever left a line had the lock in its turn, or waited long enough; a free lock has no line. */
  check(): void {
    for (const resource of RESOURCES) {
      const lock = this.#smith.serve((service) => service.locks.get(resource));
      const line = this.#line(resource);
      if (!lock.ok) {
        const isClosed = this.#nowMs <= (this.#closedUntilMs.get(resource) ?? 0);
        if (!isClosed) expect([...line.keys()].filter((one) => this.#surelyWaits(resource, one))).toEqual([]);
        continue;
      }
      const { holder, fencing_token, waiters } = lock.value;
      const known = this.#tokens.get(resource) ?? 0;
      expect(fencing_token).toBeGreaterThanOrEqual(known);
      this.#tokens.set(resource, fencing_token);
      if (fencing_token > known && holder !== null) this.#checkTurn(resource, holder);
      for (const one of [...line.keys()]) {
        if (waiters.includes(one)) continue;
        if (one !== holder) expect(this.#surelyWaits(resource, one), `${one} was forgotten`).toBe(false);
        line.delete(one);
      }
      expect(waiters).toEqual([...line.keys()]);
    }
  }

  /** Nobody who surely waited was before it. */
  #checkTurn(resource: string, holder: string): void {
    const order = [...this.#line(resource).keys()];
    const before = order.includes(holder) ? order.slice(0, order.indexOf(holder)) : order;
    expect(before.filter((one) => this.#surelyWaits(resource, one))).toEqual([]);
  }

  #queue(one: string, resource: string, waitMs: number): void {
    if (this.#smith.queue(one, resource, waitMs) !== null) return;
    const line = this.#line(resource);
    const known = line.get(one);
    // Its place may have ended in this very moment; then it stands at the end now.
    const isKept =
      known !== undefined && this.#smith.line(resource).indexOf(one) <= [...line.keys()].indexOf(one);
    if (known !== undefined && !isKept) line.delete(one);
    const untilMs = Math.max(isKept ? known.untilMs : 0, this.#nowMs + waitMs);
    line.set(one, { untilMs, waitMs, credits: 0 });
  }

  #credit(): void {
    for (const line of this.#lines.values()) {
      for (const [one, wait] of line) {
        if (wait.credits >= 2) continue;
        const untilMs = Math.max(wait.untilMs, this.#nowMs + wait.waitMs);
        line.set(one, { ...wait, untilMs, credits: wait.credits + 1 });
      }
    }
  }

  #close(resource: string): void {
    this.#closedUntilMs.set(resource, this.#nowMs + this.#delayMs);
  }

  #surelyWaits(resource: string, one: string): boolean {
    return (this.#line(resource).get(one)?.untilMs ?? 0) - UNSTORED_MS > this.#nowMs;
  }

  #line(resource: string): Map<string, Wait> {
    return this.#lines.get(resource) ?? new Map();
  }

  get #nowMs(): number {
    return this.#smith.world.nowMs;
  }
}

describe("a frame whose socket has ended before it was served", () => {
  it("takes no place, and no lock", async () => {
    const smith = await smithWith(["a", "b"]);
    const held = smith.queue("a");
    const b = smith.connect("b");
    await smith.pass(50);
    b.send({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 });
    b.send({ type: "lock_acquire", request_id: "2", resource: "tape" });
    b.close();
    await smith.pass(50);
    expect(smith.waiters()).toEqual([]);
    expect(smith.holder("tape")).toBeNull();
    if (held !== null) smith.release(held);
    expect(smith.holder()).toBeNull();
  });
});

describe("the line for a lock, whatever happens", () => {
  it.each([{ delayMs: 0 }, { delayMs: 1000 }])(
    "has one holder at a time, keeps its order, and forgets nobody (delay $delayMs ms)",
    async ({ delayMs }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
          const smith = await smithWith(AGENTS, { lock_config: { lock_delay_seconds: delayMs / 1000 } });
          const model = new Model(smith, delayMs);
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
