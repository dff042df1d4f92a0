/** Sockets of agents in their group: signs of life, pushed frames, answered frames, and broken connections. */
import { describe, expect, it } from "vitest";
import type { ConfigInput } from "../../src/contract/config.ts";
import type { ServerFrame } from "../../src/contract/socket.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import type { UnstartedRead } from "../../src/protocol/object-calls.ts";
import { agentPrincipal } from "../support/principals.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";
import type { SimulatedSocket } from "../support/simulation/simulated-sockets.ts";
import { Unreachable } from "../support/simulation/world.ts";

/** Enough for messages between objects to arrive. */
const MESSAGE_MS = 50;

/** The timeout of the scripted agents, and the second check of the alarm. */
const TIMEOUT_MS = 3000;
const SECOND_LOOK_MS = 30;

const GRACE_MS = 5000;

/** A cluster whose agents give signs of life over their sockets alone. */
class SocketScenario extends ScriptedCluster {
  readonly group = this.cluster.group("default");

  async connected(id: string, overrides: Parameters<ScriptedCluster["register"]>[1] = {}) {
    await this.register(id, overrides);
    this.silence(id);
    const socket = this.connect(id);
    await this.pass(MESSAGE_MS);
    return socket;
  }

  heartbeat(id: string) {
    return this.group.serve((service) =>
      service.heartbeat(id, {}, agentPrincipal(id, this.incarnationOf(id))),
    );
  }

  liveness(id: string) {
    const [known] = this.group.serve((service) => service.liveness([id]));
    return known;
  }

  /** Rejects all calls between objects until reconnected. */
  cutOff() {
    const { call } = this.world;
    this.world.call = () => Promise.reject(new Unreachable());
    return {
      reconnect: () => {
        this.world.call = call;
      },
    };
  }

  /** Counts for how many agents each call reads the tasks. */
  countReads() {
    const perCall: number[] = [];
    const { queries } = this.cluster.coordinator.serve((service) => service);
    const { unstartedTasks } = queries;
    queries.unstartedTasks = (reads) => {
      perCall.push(reads.length);
      return unstartedTasks.call(queries, reads);
    };
    return { perCall };
  }

  sessions(): Record<string, unknown>[] {
    return this.group.database.prepare("SELECT * FROM sessions").all() as Record<string, unknown>[];
  }

  isLive(id: string): boolean {
    return this.liveness(id) !== undefined;
  }

  /** Lets the agent ping once a second for that long. */
  async pingFor(socket: SimulatedSocket, durationMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 1000) {
      socket.ping();
      await this.pass(1000);
    }
  }
}

async function socketScenario(config: ConfigInput = {}): Promise<SocketScenario> {
  const cluster = new SocketScenario(config);
  await cluster.pass(MESSAGE_MS);
  return cluster;
}

const answers = (socket: SimulatedSocket) =>
  socket.received.filter((frame) => frame.type === "ack" || frame.type === "error");
const idsOf = (frames: readonly ServerFrame[]) =>
  frames.map((frame) => ("request_id" in frame ? frame.request_id : null));

describe("an agent that pings", () => {
  it("is live while it pings, and fails its timeout after the last ping, not before", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.pingFor(socket, 20_000);
    expect(cluster.isLive("a")).toBe(true);
    expect(cluster.failures()).toEqual([]);
    socket.ping();
    const lastMs = cluster.world.nowMs;

    await cluster.pass(TIMEOUT_MS - 1);
    expect(cluster.isLive("a")).toBe(true);
    await cluster.pass(1 + SECOND_LOOK_MS + MESSAGE_MS);

    expect(cluster.isLive("a")).toBe(false);
    const [failure] = cluster.failures();
    expect(failure).toMatchObject({ agent_id: "a", failure_type: "heartbeat_timeout" });
    expect(failure?.agent?.last_heartbeat_at).toBe(new Date(lastMs).toISOString());
    expect(socket.closed).toEqual({ code: 4410, reason: "session_expired" });
    expect(socket.received.at(-1)).toEqual({ type: "session_expired", reason: "failed" });
  });

  it("stays live when its group is evicted between two pings", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    for (let round = 0; round < 10; round++) {
      await cluster.pingFor(socket, 2000);
      cluster.group.evict();
    }
    expect(cluster.isLive("a")).toBe(true);
    expect(cluster.eventTypes()).not.toContain("coordinator.paused");
  });

  it("shows the ping as its last sign of life, and its deadline one timeout later", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.pass(500);
    socket.ping();
    const at = cluster.world.nowMs;
    expect(cluster.liveness("a")).toMatchObject({
      last_heartbeat_at: new Date(at).toISOString(),
      deadline_at: new Date(at + TIMEOUT_MS).toISOString(),
    });
  });

  it("has its last ping counted when its socket closes afterwards and the group is evicted", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.pass(2000);
    socket.ping();
    await cluster.pass(500);
    socket.close();
    cluster.group.evict();
    await cluster.pass(TIMEOUT_MS - 501);
    expect(cluster.isLive("a")).toBe(true);
  });

  it("causes no write to the database", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const changes = () => cluster.group.database.prepare("SELECT total_changes() AS count").get()?.count;
    const before = changes();
    for (let ping = 0; ping < 100; ping++) {
      socket.ping();
      await cluster.pass(20);
    }
    expect(changes()).toBe(before);
  });
});

describe("what is pushed to an agent", () => {
  it("is its tasks, messages and drain when it connects", async () => {
    const cluster = await socketScenario();
    await cluster.register("a");
    await cluster.submit({ id: "one" });
    await cluster.submit({ id: "two" });
    for (let index = 0; index < 120; index++) {
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: index }),
      );
    }
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);

    expect(socket.frames("task_assigned").map(({ task }) => task.id)).toEqual(["one", "two"]);
    expect(socket.frames("message").map(({ message }) => message.content)).toEqual(
      Array.from({ length: 120 }, (_, index) => index),
    );
    expect(socket.frames("drain")).toEqual([]);

    good(cluster.drain("a", { mode: "finish" }));
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("drain")).toEqual([{ type: "drain", mode: "finish", deadline_at: null }]);
    const again = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(again.frames("drain")).toHaveLength(1);
    good(cluster.resume("a"));
    await cluster.pass(MESSAGE_MS);
    expect(again.frames("drain").at(-1)).toEqual({ type: "drain", mode: null, deadline_at: null });
  });

  it("comes once on a connection, and again on the next", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    await cluster.submit({ id: "two" });
    await cluster.pass(2000);
    expect(socket.frames("task_assigned").map(({ task }) => task.id)).toEqual(["one", "two"]);

    const next = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(next.frames("task_assigned").map(({ task }) => task.id)).toEqual(["one", "two"]);
  });

  it("is complete although it does not fit on one page", async () => {
    const cluster = await socketScenario();
    await cluster.register("a", { max_concurrent_tasks: 2000 });
    const count = 1100;
    for (let index = 0; index < count; index++) await cluster.submit({ id: `task-${index}` });
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(new Set(socket.frames("task_assigned").map(({ task }) => task.id)).size).toBe(count);
    expect(socket.frames("task_assigned")).toHaveLength(count);
  });

  it("is read in few calls when many agents connect at once", async () => {
    const cluster = await socketScenario();
    const ids = Array.from({ length: 250 }, (_, index) => `agent-${index}`);
    for (const id of ids) await cluster.register(id, { heartbeat_timeout_seconds: 86_400 });
    // One agent has more tasks than an answer can hold; the others have one or none.
    await cluster.register("busy", { capabilities: ["index"], max_concurrent_tasks: 1000 });
    const busy = Array.from({ length: 700 }, (_, index) => `busy-${index}`);
    for (const id of busy) await cluster.submit({ id, type: "index" });
    for (let index = 0; index < 200; index++) await cluster.submit({ id: `task-${index}` });
    const reads = cluster.countReads();

    const sockets = ["busy", ...ids].map((id) => cluster.connect(id));
    await cluster.pass(100);

    const received = sockets.map((socket) => socket.frames("task_assigned").map(({ task }) => task.id));
    expect(received[0]).toEqual(busy);
    expect(received.slice(1).flat().sort()).toEqual(
      Array.from({ length: 200 }, (_, index) => `task-${index}`).sort(),
    );
    for (const [index, id] of ["busy", ...ids].entries()) {
      const holders = sockets[index]?.frames("task_assigned").map(({ task }) => task.assigned_to) ?? [];
      expect(new Set([id, ...holders])).toEqual(new Set([id]));
    }
    // The first reads go alone, and a wake-up that is repeated at that moment causes a second read.
    expect(reads.perCall.length).toBeLessThan(ids.length / 10);
    expect(Math.max(...reads.perCall)).toBeLessThanOrEqual(100);
  });

  it("is read in answers of limited size: the rest is read in further calls, and no task is left out", async () => {
    const cluster = await socketScenario();
    const agents = Array.from({ length: 12 }, (_, index) => `agent-${index}`);
    const tasksOf = (id: string) => Array.from({ length: 5 }, (_, index) => `${id}-task-${index}`);
    for (const id of agents) {
      await cluster.register(id, { heartbeat_timeout_seconds: 86_400, capabilities: [id] });
      for (const task of tasksOf(id)) await cluster.submit({ id: task, type: id, data: "x".repeat(250_000) });
    }
    const read = (reads: UnstartedRead[]) =>
      cluster.cluster.coordinator.serve((service) => service.queries.unstartedTasks(reads));

    const found = new Map<string, string[]>(agents.map((id) => [id, []]));
    let reads: UnstartedRead[] = agents.map((agentId) => ({ agentId, cursor: null }));
    for (let calls = 0; reads.length > 0 && calls < 10; calls++) {
      const pages = read(reads);
      const characters = JSON.stringify(pages).length;
      expect(characters).toBeGreaterThan(0);
      expect(characters).toBeLessThan(9_000_000);
      const further: UnstartedRead[] = [];
      pages.forEach(({ items, next_cursor }, index) => {
        const agentId = reads[index]?.agentId ?? "";
        found.get(agentId)?.push(...items.map(({ id }) => id));
        if (next_cursor !== null) further.push({ agentId, cursor: next_cursor });
      });
      reads = [...further, ...reads.slice(pages.length)];
    }

    expect(reads).toEqual([]);
    for (const id of agents) expect(found.get(id)).toEqual(tasksOf(id));
  });

  it("reaches other agents while a read for one is not answered", async () => {
    const cluster = await socketScenario();
    for (const id of ["a", "b"]) await cluster.register(id, { heartbeat_timeout_seconds: 86_400 });
    for (const id of ["one", "two"]) await cluster.submit({ id });
    const { world } = cluster;
    const { call } = world;
    world.call = () => new Promise(() => {});
    const a = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    world.call = call;
    const b = cluster.connect("b");
    await cluster.pass(MESSAGE_MS);
    expect(b.frames("task_assigned")).toHaveLength(1);
    expect(a.frames("task_assigned")).toEqual([]);
    // The group gives the read up after 10 s, and reads again.
    await cluster.pass(11_000);
    expect(a.frames("task_assigned")).toHaveLength(1);
  });

  it("arrives although the coordinator cannot be reached at first", async () => {
    const cluster = await socketScenario();
    await cluster.register("a");
    await cluster.submit({ id: "one" });
    const { call } = cluster.world;
    cluster.world.call = () => Promise.reject(new Unreachable());
    const socket = cluster.connect("a");
    await cluster.pass(100);
    cluster.world.call = call;
    expect(socket.frames("task_assigned")).toEqual([]);
    await cluster.pass(1000);
    expect(socket.frames("task_assigned")).toHaveLength(1);
  });

  it("includes revocations", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    good(cluster.cluster.coordinator.serve((service) => service.cancel("one")));
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_revoked")).toEqual([
      { type: "task_revoked", task_id: "one", attempt: 1, reason: "cancelled" },
    ]);
  });

  it("does not include a task that was revoked while the list was in transit", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const { world } = cluster;
    const call = world.call.bind(world);
    // Every answer is delayed, so the list is outdated when it arrives.
    world.call = async (serve) => {
      const answer = await call(serve);
      await world.sleep(30);
      return answer;
    };
    await cluster.submit({ id: "one" });
    await cluster.pass(15);
    good(cluster.cluster.coordinator.serve((service) => service.cancel("one")));
    await cluster.pass(200);
    expect(socket.frames("task_revoked")).toHaveLength(1);
    expect(socket.frames("task_assigned")).toEqual([]);
  });

  it("includes each message as it is sent", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const send = (content: string) =>
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content }),
      );
    send("one");
    cluster.group.evict();
    send("two");
    send("three");
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("message").map(({ message }) => message.content)).toEqual(["one", "two", "three"]);
  });
});

describe("a revocation while the group cannot be reached", () => {
  /** `a` is connected and runs `one`; the revocation of `one` cannot reach the group at first. */
  async function undeliveredRevocation() {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 86_400 });
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    good(cluster.start("one", "a", 1));
    const cutOff = cluster.cutOff();
    cluster.cluster.revoked.length = 0;
    good(cluster.cluster.coordinator.serve((service) => service.cancel("one")));
    return { cluster, socket, ...cutOff };
  }
  const REVOKED = { type: "task_revoked", task_id: "one", attempt: 1, reason: "cancelled" };
  const deliveriesOf = (cluster: SocketScenario) => cluster.cluster.revoked.length;

  it("is delivered as soon as the group can be reached", async () => {
    const { cluster, socket, reconnect } = await undeliveredRevocation();
    await cluster.pass(500);
    reconnect();
    expect(socket.frames("task_revoked")).toEqual([]);
    await cluster.pass(1000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
    await cluster.pass(10_000_000);
    expect(deliveriesOf(cluster)).toBe(2);
  });

  it("is retried with back-off until it is delivered, although the agent reads its list in between", async () => {
    const { cluster, socket, reconnect } = await undeliveredRevocation();
    await cluster.pass(20_000);
    cluster.cluster.coordinator.serve((service) =>
      service.queries.tasksOf(
        "a",
        { statuses: ["assigned"], limit: 50, cursor: null },
        agentPrincipal("a", 1),
      ),
    );
    await cluster.pass(20_000);
    // At once, and after 1, 3, 7, 15 and 31 s.
    expect(deliveriesOf(cluster)).toBe(6);
    reconnect();
    await cluster.pass(32_000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
  });

  it("is delivered together with the next revocation", async () => {
    const { cluster, socket, reconnect } = await undeliveredRevocation();
    await cluster.submit({ id: "two" });
    await cluster.pass(15_000);
    reconnect();
    good(cluster.cluster.coordinator.serve((service) => service.cancel("two")));
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_revoked").map(({ task_id }) => task_id)).toEqual(["one", "two"]);
  });

  it("is kept when a failover is simulated", async () => {
    const { cluster, socket, reconnect } = await undeliveredRevocation();
    await cluster.pass(500);
    good(
      cluster.cluster.coordinator.serve((service) => service.simulateFailover({ agents: ["a"], groups: [] })),
    );
    reconnect();
    await cluster.pass(1000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
  });

  it("is delivered again if only the answer was lost, and no other revocation is", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.submit({ id: "two" });
    await cluster.pass(MESSAGE_MS);
    const { world } = cluster;
    const { call } = world;
    world.call = async (serve) => {
      await call.call(world, serve);
      throw new Unreachable();
    };
    good(cluster.fail("one", "a", 1));
    good(cluster.cluster.coordinator.serve((service) => service.cancel("two")));
    await cluster.pass(MESSAGE_MS);
    world.call = call;
    await cluster.pass(2000);
    expect(socket.frames("task_revoked")).toEqual([
      { type: "task_revoked", task_id: "two", attempt: 1, reason: "cancelled" },
      { type: "task_revoked", task_id: "two", attempt: 1, reason: "cancelled" },
    ]);
    expect(socket.frames("task_assigned").map(({ task }) => `${task.id}/${task.attempt}`)).toEqual([
      "one/1",
      "two/1",
      "one/2",
    ]);
  });

  it.each([
    { when: "registers again", go: (c: SocketScenario) => c.register("a") },
    {
      when: "is not live any more",
      go: async (c: SocketScenario) =>
        void c.group.serve((service) => service.reportFailure("a", { failure_type: "x" })),
    },
  ])("is dropped once the agent $when", async ({ go }) => {
    const { cluster, reconnect } = await undeliveredRevocation();
    await cluster.pass(3500);
    reconnect();
    const before = deliveriesOf(cluster);
    await go(cluster);
    await cluster.pass(100_000);
    expect(deliveriesOf(cluster)).toBe(before);
  });

  it("is dropped after about an hour", async () => {
    const { cluster, reconnect } = await undeliveredRevocation();
    await cluster.pass(10_000_000);
    // At once, and after 1 s, 3 s, … 4,095 s.
    expect(deliveriesOf(cluster)).toBe(13);
    reconnect();
    await cluster.pass(10_000_000);
    expect(deliveriesOf(cluster)).toBe(13);
  });
});

describe("a request frame", () => {
  it("is answered in order, once each, reports included", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);

    socket.send({ type: "task_start", request_id: "1", task_id: "one", attempt: 1 });
    socket.send({ type: "lock_acquire", request_id: "2", resource: "disk" });
    socket.send("{");
    socket.send({ type: "task_complete", request_id: "4", task_id: "one", attempt: 1, result: 7 });
    socket.send({ type: "heartbeat", request_id: "5", load: { cpu: 0.5, memory: 0.5 } });
    expect(answers(socket)).toEqual([]);
    await cluster.pass(MESSAGE_MS);

    expect(idsOf(answers(socket))).toEqual(["1", "2", null, "4", "5"]);
    expect(answers(socket).map(({ type }) => type)).toEqual(["ack", "ack", "error", "ack", "ack"]);
    expect(cluster.task("one")).toMatchObject({ status: "completed", result: 7 });
  });

  it("costs one commit in the group and one in the coordinator for all frames that arrive together", async () => {
    const cluster = await socketScenario();
    const sockets = [await cluster.connected("a"), await cluster.connected("b")];
    for (let index = 0; index < 20; index++) await cluster.submit({ id: `task-${index}` });
    await cluster.pass(MESSAGE_MS);
    let reports = 0;
    const group = cluster.cluster.coordinator.serve((service) => service);
    const { reportAll } = group;
    group.reportAll = (all) => {
      reports += 1;
      return reportAll.call(group, all);
    };
    for (const socket of sockets) {
      for (const { task } of socket.frames("task_assigned")) {
        socket.send({
          type: "task_complete",
          request_id: task.id,
          task_id: task.id,
          attempt: task.attempt,
          result: null,
        });
      }
    }
    await cluster.pass(MESSAGE_MS);
    expect(sockets.flatMap(answers)).toHaveLength(20);
    expect(sockets.flatMap(answers).every(({ type }) => type === "ack")).toBe(true);
    expect(reports).toBe(1);
  });

  it("in a batch has an answer of its own", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    socket.send({
      type: "batch",
      frames: [
        { type: "lock_acquire", request_id: "1", resource: "disk" },
        { type: "lock_acquire", request_id: "2", resource: "" },
        { type: "no such", request_id: "3" },
        "nonsense",
        { type: "heartbeat", request_id: "5", surplus: 1 },
        { type: "heartbeat", request_id: "6" },
      ],
    });
    await cluster.pass(MESSAGE_MS);
    expect(idsOf(answers(socket))).toEqual(["1", "2", "3", null, "5", "6"]);
    expect(answers(socket).map(({ type }) => type)).toEqual([
      "ack",
      "error",
      "error",
      "error",
      "error",
      "ack",
    ]);
  });

  it.each([
    { what: "no JSON", frame: "{", code: "invalid_request" },
    { what: "an unknown type", frame: { type: "dance", request_id: "1" }, code: "invalid_request" },
    { what: "no object", frame: "7", code: "invalid_request" },
    { what: "an empty batch", frame: { type: "batch", frames: [] }, code: "invalid_request" },
    {
      what: "a batch of too many",
      frame: { type: "batch", frames: Array.from({ length: 1001 }, () => ({})) },
      code: "invalid_request",
    },
    {
      what: "a batch in a batch",
      frame: { type: "batch", frames: [{ type: "batch", frames: [] }] },
      code: "invalid_request",
    },
    {
      what: "an unknown field",
      frame: { type: "heartbeat", request_id: "1", ttl: 1 },
      code: "invalid_request",
    },
    {
      what: "a frame that is too long",
      frame: {
        type: "task_complete",
        request_id: "1",
        task_id: "t",
        attempt: 1,
        result: "x".repeat(262_144),
      },
      code: "payload_too_large",
    },
    {
      what: "a frame that is too long in a batch",
      frame: {
        type: "batch",
        frames: [
          { type: "task_complete", request_id: "1", task_id: "t", attempt: 1, result: "x".repeat(262_144) },
        ],
      },
      code: "payload_too_large",
    },
    { what: "more than a batch may have", frame: "x".repeat(8_388_609), code: "payload_too_large" },
    { what: "too deep nesting", frame: `${"[".repeat(100)}${"]".repeat(100)}`, code: "invalid_request" },
    {
      what: "a number that would not be kept",
      frame:
        '{"type":"task_complete","request_id":"1","task_id":"t","attempt":1,"result":12345678901234567890}',
      code: "invalid_request",
    },
  ])("is refused, and the connection stays open, when it is $what", async ({ frame, code }) => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    socket.send(frame);
    await cluster.pass(MESSAGE_MS);
    const [answer] = answers(socket);
    expect(answer).toMatchObject({
      type: "error",
      code,
      title: expect.any(String),
      status: expect.any(Number),
    });
    if (code === "invalid_request") expect(answer).toMatchObject({ errors: [expect.anything()] });
    socket.send({ type: "heartbeat", request_id: "after" });
    await cluster.pass(MESSAGE_MS);
    expect(answers(socket).at(-1)).toEqual({ type: "ack", request_id: "after" });
  });

  it("is refused with its request id when the report is stale or another agent's", async () => {
    const cluster = await socketScenario();
    const a = await cluster.connected("a");
    const b = await cluster.connected("b");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    const [holder, other] = a.frames("task_assigned").length > 0 ? [a, b] : [b, a];
    holder.send({ type: "task_start", request_id: "1", task_id: "one", attempt: 9 });
    other.send({ type: "task_start", request_id: "2", task_id: "one", attempt: 1 });
    other.send({ type: "task_start", request_id: "3", task_id: "nothing", attempt: 1 });
    await cluster.pass(MESSAGE_MS);
    expect(answers(holder)).toMatchObject([{ code: "stale_attempt", request_id: "1", attempt: 1 }]);
    expect(answers(other)).toMatchObject([{ code: "stale_attempt" }, { code: "not_found" }]);
  });

  it("is answered `unavailable` when the coordinator cannot be reached, and the next report is served", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    const { call } = cluster.world;
    cluster.world.call = () => Promise.reject(new Unreachable());
    socket.send({ type: "task_start", request_id: "1", task_id: "one", attempt: 1 });
    await cluster.pass(MESSAGE_MS);
    cluster.world.call = call;
    expect(answers(socket)).toMatchObject([{ type: "error", request_id: "1", code: "unavailable" }]);
    socket.send({ type: "task_start", request_id: "2", task_id: "one", attempt: 1 });
    await cluster.pass(MESSAGE_MS);
    expect(answers(socket).at(-1)).toMatchObject({ type: "ack", request_id: "2" });
  });

  it("is the only one refused when serving it throws", async () => {
    const cluster = await socketScenario();
    const [a, b] = [await cluster.connected("a"), await cluster.connected("b")];
    const { locks } = cluster.group.serve((service) => service);
    const { acquireNow } = locks;
    locks.acquireNow = (request, nowMs) => {
      if (request.resource === "broken") throw new Error("a bug");
      return acquireNow.call(locks, request, nowMs);
    };
    a.send({ type: "lock_acquire", request_id: "1", resource: "disk" });
    b.send({ type: "lock_acquire", request_id: "1", resource: "broken" });
    b.send({ type: "lock_acquire", request_id: "2", resource: "tape" });
    await cluster.pass(MESSAGE_MS);
    expect(answers(a)).toMatchObject([{ type: "ack", lock: { resource: "disk", holder: "a" } }]);
    expect(answers(b)).toMatchObject([
      { type: "error", request_id: "1", code: "internal" },
      { type: "ack", request_id: "2", lock: { resource: "tape", holder: "b" } },
    ]);
    expect(cluster.group.serve((service) => service.locks.lockedCount())).toBe(2);
  });

  it("is not served after the agent has sent too many", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const long = "x".repeat(262_144);
    for (let frame = 0; frame < 300; frame++) socket.send(long);
    expect(socket.closed).toEqual({ code: 1008, reason: "policy" });
    // Closing is no crash: the agent keeps its whole timeout.
    expect(cluster.sessions()).toMatchObject([{ connection: null, suspect_until: null }]);
    expect(cluster.isLive("a")).toBe(true);
  });

  it("can acknowledge messages in the agent's mailbox", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const { id } = good(
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: 1 }),
      ),
    );
    socket.send({ type: "message_ack", request_id: "1", message_id: id });
    await cluster.pass(MESSAGE_MS);
    expect(answers(socket)).toEqual([{ type: "ack", request_id: "1" }]);
    expect(good(cluster.heartbeat("a")).unread_messages).toBe(0);
  });
});

describe("a task whose wake-up was lost", () => {
  it("is pushed all the same when the agent starts another meanwhile", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    const network = cluster.cutOff();
    await cluster.submit({ id: "two" });
    await cluster.pass(MESSAGE_MS);
    network.reconnect();
    socket.send({ type: "task_start", request_id: "1", task_id: "one", attempt: 1 });
    await cluster.pingFor(socket, 300_000);
    expect(socket.frames("task_assigned").map(({ task }) => task.id)).toEqual(["one", "two"]);
  });
});

describe("an agent with more tasks and messages than its send window", () => {
  const LONG = "x".repeat(60_000);

  it("gets no more tasks at a time than the window holds, and all of them in the end", async () => {
    const cluster = await socketScenario();
    for (let index = 0; index < 100; index++) await cluster.submit({ id: `task-${index}`, data: LONG });
    const socket = await cluster.connected("a", { max_concurrent_tasks: 100 });
    expect(socket.frames("task_assigned").length).toBeLessThan(20);

    const started = new Set<string>();
    const startNext = () => {
      const next = socket.frames("task_assigned").find(({ task }) => !started.has(task.id))?.task;
      if (next === undefined) return false;
      started.add(next.id);
      socket.send({ type: "task_start", request_id: next.id, task_id: next.id, attempt: next.attempt });
      return true;
    };
    while (startNext()) await cluster.pass(MESSAGE_MS);
    expect(started.size).toBe(100);
    expect(socket.frames("task_assigned")).toHaveLength(100);
  });

  it("gets the next message when it has acknowledged one, each once", async () => {
    const cluster = await socketScenario();
    await cluster.register("a");
    for (let index = 0; index < 60; index++) {
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: LONG }),
      );
    }
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("message").length).toBeLessThan(20);
    // Messages that the agent does not acknowledge hold up no task.
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_assigned")).toHaveLength(1);

    for (let index = 0; index < socket.frames("message").length; index++) {
      const message_id = socket.frames("message")[index]?.message.id;
      socket.send({ type: "message_ack", request_id: `${index}`, message_id });
      await cluster.pass(MESSAGE_MS);
    }
    const received = socket.frames("message").map(({ message }) => message.id);
    expect(received).toHaveLength(60);
    expect(new Set(received).size).toBe(60);
  });

  it("gets the rest of its tasks although it starts them over HTTP", async () => {
    const cluster = await socketScenario();
    for (let index = 0; index < 60; index++) await cluster.submit({ id: `task-${index}`, data: LONG });
    const socket = await cluster.connected("a", { max_concurrent_tasks: 100 });
    const begun = new Set<string>();
    for (let round = 0; round < 10; round++) {
      for (const { task } of socket.frames("task_assigned")) {
        if (begun.has(task.id)) continue;
        begun.add(task.id);
        good(cluster.start(task.id, "a", task.attempt));
      }
      await cluster.pingFor(socket, 5000);
    }
    expect(begun.size).toBe(60);
  });

  it("gets everything that was withheld although its group was evicted", async () => {
    const cluster = await socketScenario();
    for (let index = 0; index < 40; index++) await cluster.submit({ id: `task-${index}`, data: LONG });
    const send = () =>
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: LONG }),
      );
    await cluster.register("a", { max_concurrent_tasks: 100 });
    for (let index = 0; index < 40; index++) send();
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_assigned").length).toBeLessThan(20);
    expect(socket.isBackpressured).toBe(true);
    cluster.group.evict();
    send();
    const done = new Set<string>();
    for (let second = 0; second < 200; second++) {
      const task = socket.frames("task_assigned").find((frame) => !done.has(frame.task.id))?.task;
      const message = socket.frames("message").find((frame) => !done.has(frame.message.id))?.message;
      if (task !== undefined) {
        done.add(task.id);
        socket.send({ type: "task_start", request_id: "1", task_id: task.id, attempt: task.attempt });
      }
      if (message !== undefined) {
        done.add(message.id);
        socket.send({ type: "message_ack", request_id: "2", message_id: message.id });
      }
      if (second === 20) cluster.group.evict();
      socket.ping();
      await cluster.pass(1000);
    }
    expect(done.size).toBe(81);
    expect(socket.isBackpressured).toBe(false);
  });

  it("keeps getting messages that it acknowledges over HTTP", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const acknowledged = new Set<string>();
    for (let sent = 0; sent < 60; sent++) {
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: LONG }),
      );
      await cluster.pass(MESSAGE_MS);
      for (const { message } of socket.frames("message")) {
        if (acknowledged.has(message.id)) continue;
        acknowledged.add(message.id);
        const incarnation = cluster.incarnationOf("a");
        cluster.group.serve((service) =>
          service.messages.acknowledge("a", message.id, agentPrincipal("a", incarnation)),
        );
      }
      socket.ping();
    }
    expect(acknowledged.size).toBe(60);
  });

  it("is disconnected with `renewed` when it only sends requests, and keeps its queue position", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const holder = await cluster.connected("b");
    good(
      cluster.group.serve((service) =>
        service.locks.acquire("tape", { agent_id: "b", ttl_seconds: 600 }, ADMIN),
      ),
    );
    socket.send({ type: "lock_acquire", request_id: "1", resource: "tape", wait_seconds: 30 });
    const ask = { type: "lock_acquire", request_id: "1", resource: "\\".repeat(256) };
    const frames = Array.from({ length: 1000 }, () => ask);
    for (let asked = 0; asked < 100 && socket.closed === null; asked++) {
      socket.send({ type: "batch", frames });
      await cluster.pass(1000);
      socket.ping();
      holder.ping();
    }
    expect(socket.closed).toEqual({ code: 4001, reason: "renewed" });
    const received = socket.received.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0);
    expect(received).toBeLessThan(18 * 1024 * 1024);
    // Closing is no crash: the agent keeps its whole timeout.
    expect(cluster.sessions()).toMatchObject([{ connection: null, suspect_until: null }, {}]);
    expect(cluster.group.serve((service) => good(service.locks.get("tape")).waiters)).toEqual(["a"]);
  });

  it("stays connected when its reports show that it reads", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    const frames = Array.from({ length: 1000 }, () => ({
      type: "lock_acquire",
      request_id: "1",
      resource: "\\".repeat(256),
    }));
    for (let round = 0; round < 40; round++) {
      socket.send({ type: "batch", frames });
      await cluster.submit({ id: `task-${round}` });
      await cluster.pass(1000);
      const task = socket.frames("task_assigned").at(-1)?.task;
      socket.send({ type: "task_complete", request_id: "2", task_id: task?.id, attempt: 1 });
    }
    expect(socket.closed).toBeNull();
    expect(socket.frames("task_assigned")).toHaveLength(40);
  });
});

describe("a newer connection", () => {
  it("replaces the older one, and the agent does not become suspect", async () => {
    const cluster = await socketScenario();
    const first = await cluster.connected("a");
    const second = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(first.closed).toEqual({ code: 4000, reason: "replaced" });
    expect(second.closed).toBeNull();
    // The group learns late that the first connection ended; this says nothing about the agent.
    cluster.group.serve((service) => service.disconnected(first.connection, false));
    expect(cluster.sessions()).toMatchObject([{ connection: second.connection.number, suspect_until: null }]);
    second.send({ type: "heartbeat", request_id: "1" });
    await cluster.pass(MESSAGE_MS);
    expect(answers(second)).toHaveLength(1);
  });
});

describe("the end of an incarnation", () => {
  it.each([
    {
      how: "it is declared failed",
      end: (c: SocketScenario) => void c.group.serve((s) => s.reportFailure("a", { failure_type: "x" })),
      expected: { reason: "failed" },
    },
    {
      how: "it unregisters",
      end: (c: SocketScenario) => void c.group.serve((s) => s.unregister("a", ADMIN)),
      expected: { reason: "unregistered" },
    },
    {
      how: "another process registers it",
      end: (c: SocketScenario) => c.register("a", { instance: "host/2/b" }),
      expected: { reason: "superseded", superseded_by: "host/2/b" },
    },
  ])("closes its socket with `session_expired` and the reason when $how", async ({ end, expected }) => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await end(cluster);
    await cluster.pass(MESSAGE_MS);
    expect(socket.received.at(-1)).toEqual({ type: "session_expired", ...expected });
    expect(socket.closed).toEqual({ code: 4410, reason: "session_expired" });
  });

  it("prevents a new connection with that incarnation", async () => {
    const cluster = await socketScenario();
    await cluster.register("a");
    const ended = cluster.incarnationOf("a");
    await cluster.register("a");
    expect(cluster.cluster.connect("default", "a", ended)).toMatchObject({
      ok: false,
      problem: { code: "session_expired" },
    });
  });
});

describe("a socket that breaks", () => {
  it("makes its agent suspect at once, and inactive right after the grace, not before", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    const brokenMs = cluster.world.nowMs;
    socket.break();
    expect(cluster.sessions()).toMatchObject([{ connection: null, suspect_until: brokenMs + GRACE_MS }]);
    await cluster.pass(MESSAGE_MS);
    expect(cluster.agent("a").status).toBe("suspect");

    await cluster.pass(GRACE_MS - MESSAGE_MS - 1);
    expect(cluster.isLive("a")).toBe(true);
    await cluster.pass(SECOND_LOOK_MS + 1 + MESSAGE_MS);

    const [failure] = cluster.failures().filter(({ failure_type }) => failure_type !== "no_suitable_agent");
    expect(failure).toMatchObject({
      agent_id: "a",
      failure_type: "connection_lost",
      details: { reconnect_grace_seconds: 5 },
    });
    expect(Date.parse(failure?.at ?? "")).toBeGreaterThanOrEqual(brokenMs + GRACE_MS);
    expect(cluster.agent("a").status).toBe("inactive");
  });

  it.each([
    { sign: "a heartbeat", show: (c: SocketScenario) => void good(c.heartbeat("a")) },
    { sign: "a new socket", show: (c: SocketScenario) => void c.connect("a") },
    {
      sign: "any call",
      show: (c: SocketScenario) =>
        void good(
          c.group.serve((s) =>
            s.locks.acquire("disk", { agent_id: "a" }, agentPrincipal("a", c.incarnationOf("a"))),
          ),
        ),
    },
  ])("is forgotten when $sign comes in time", async ({ show }) => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    socket.break();
    await cluster.pass(GRACE_MS - 100);
    expect(cluster.agent("a").status).toBe("suspect");
    show(cluster);
    await cluster.pass(MESSAGE_MS);
    expect(cluster.agent("a").status).toBe("active");
    expect(cluster.sessions()).toMatchObject([{ suspect_until: null }]);
    await cluster.pass(10_000);
    expect(cluster.failures()).toEqual([]);
  });

  it("fails its agent at the second check when the grace is 0", async () => {
    const cluster = await socketScenario({ heartbeat_config: { reconnect_grace_seconds: 0 } });
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    await cluster.pass(1000);
    const brokenMs = cluster.world.nowMs;
    socket.break();
    await cluster.pass(SECOND_LOOK_MS + MESSAGE_MS);
    const [failure] = cluster.failures();
    expect(failure).toMatchObject({ agent_id: "a", failure_type: "connection_lost" });
    expect(Date.parse(failure?.at ?? "") - brokenMs).toBeLessThanOrEqual(SECOND_LOOK_MS + 5);
  });

  it("does not delay a timeout that is shorter than the grace", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    socket.break();
    await cluster.pass(TIMEOUT_MS + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "heartbeat_timeout" }]);
  });

  it("is remembered over an eviction", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    socket.break();
    cluster.group.evict();
    await cluster.pass(GRACE_MS + 1000 + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "connection_lost" }]);
  });

  it("is no crash when it closes normally: the agent keeps its whole timeout", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    socket.close();
    await cluster.pass(29_000);
    expect(cluster.agent("a").status).toBe("active");
    await cluster.pass(1000 + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "heartbeat_timeout" }]);
  });
});

describe("sockets that the server itself cuts", () => {
  it.each([
    { how: "a crash of the object", cut: (c: SocketScenario) => c.group.end(), cause: "sockets_gone" },
    {
      how: "a restart of the server",
      cut: (c: SocketScenario) => {
        c.cluster.kill();
        c.cluster.start();
      },
      cause: "restarted",
    },
  ])("by $how fail no agent before a whole timeout, and one event records it", async ({ cut, cause }) => {
    const cluster = await socketScenario();
    const sockets = [await cluster.connected("a"), await cluster.connected("b")];
    await cluster.pass(2000);
    cut(cluster);
    const cutMs = cluster.world.nowMs;
    expect(sockets.map(({ closed }) => closed?.code)).toEqual([1006, 1006]);
    expect(cluster.liveness("a")?.deadline_at).toBe(new Date(cutMs + TIMEOUT_MS).toISOString());
    await cluster.pass(MESSAGE_MS);
    expect(cluster.agent("a").status).toBe("active");
    const back = cluster.connect("a");
    await cluster.pass(TIMEOUT_MS - MESSAGE_MS - 1);
    expect(cluster.failures()).toEqual([]);
    back.ping();
    await cluster.pass(1000);
    expect(cluster.failures()).toMatchObject([{ agent_id: "b", failure_type: "heartbeat_timeout" }]);
    const pauses = cluster.cluster.coordinator
      .serve((service) => service.queries.events(0, 1000))
      .filter(({ type, subject }) => type === "coordinator.paused" && subject === "group/default");
    expect(pauses).toMatchObject([{ data: { cause } }]);
  });

  it("give a suspect agent its whole timeout too", async () => {
    const cluster = await socketScenario();
    const socket = await cluster.connected("a");
    await cluster.connected("b");
    await cluster.pass(2500);
    socket.break();
    cluster.group.end();
    await cluster.pass(TIMEOUT_MS - 1);
    expect(cluster.isLive("a")).toBe(true);
  });
});

describe("the status in a heartbeat's answer", () => {
  it("is draining while the agent drains, and active afterwards", async () => {
    const cluster = await socketScenario();
    await cluster.register("a");
    expect(good(cluster.heartbeat("a")).status).toBe("active");
    good(cluster.drain("a", { mode: "finish" }));
    await cluster.pass(MESSAGE_MS);
    cluster.group.evict();
    expect(good(cluster.heartbeat("a")).status).toBe("draining");
    good(cluster.resume("a"));
    await cluster.pass(MESSAGE_MS);
    expect(good(cluster.heartbeat("a")).status).toBe("active");
  });
});
