/** Sockets of agents as their group sees them: life, what is pushed, what is answered, and what a break means. */
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

/** The timeout of the scripted agents, and the look that follows. */
const TIMEOUT_MS = 3000;
const SECOND_LOOK_MS = 30;

const GRACE_MS = 5000;

/** Agents that are heard of over their sockets alone. */
class Switchboard extends ScriptedCluster {
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

  /** The network carries nothing until it is reconnected. */
  cutOff() {
    const { call } = this.world;
    this.world.call = () => Promise.reject(new Unreachable());
    return {
      reconnect: () => {
        this.world.call = call;
      },
    };
  }

  /** Of how many agents each call reads the tasks. */
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

async function board(config: ConfigInput = {}): Promise<Switchboard> {
  const cluster = new Switchboard(config);
  await cluster.pass(MESSAGE_MS);
  return cluster;
}

const answers = (socket: SimulatedSocket) =>
  socket.received.filter((frame) => frame.type === "ack" || frame.type === "error");
const idsOf = (frames: readonly ServerFrame[]) =>
  frames.map((frame) => ("request_id" in frame ? frame.request_id : null));

describe("an agent that pings", () => {
  it("lives as long as it does, and dies its timeout after the last ping, never before", async () => {
    const cluster = await board();
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
    expect(socket.received.at(-1)).toEqual({ type: "session_expired" });
  });

  it("lives on when its group is evicted between two pings", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    for (let round = 0; round < 10; round++) {
      await cluster.pingFor(socket, 2000);
      cluster.group.evict();
    }
    expect(cluster.isLive("a")).toBe(true);
    expect(cluster.eventTypes()).not.toContain("coordinator.paused");
  });

  it("is shown with the ping as its last sign of life, and its deadline after it", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    await cluster.pass(500);
    socket.ping();
    const at = cluster.world.nowMs;
    expect(cluster.liveness("a")).toMatchObject({
      last_heartbeat_at: new Date(at).toISOString(),
      deadline_at: new Date(at + TIMEOUT_MS).toISOString(),
    });
  });

  it("has what it pinged counted when its socket was closed since", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    await cluster.pass(2000);
    socket.ping();
    await cluster.pass(500);
    socket.close();
    cluster.group.evict();
    await cluster.pass(TIMEOUT_MS - 501);
    expect(cluster.isLive("a")).toBe(true);
  });

  it("costs no row", async () => {
    const cluster = await board();
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

describe("what waits for an agent", () => {
  it("is pushed when it connects: its tasks, its messages, its drain", async () => {
    const cluster = await board();
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

  it("is pushed once on a connection, and again on the next", async () => {
    const cluster = await board();
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

  it("is pushed though there is more of it than a page holds", async () => {
    const cluster = await board();
    await cluster.register("a", { max_concurrent_tasks: 2000 });
    const count = 1100;
    for (let index = 0; index < count; index++) await cluster.submit({ id: `task-${index}` });
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(new Set(socket.frames("task_assigned").map(({ task }) => task.id)).size).toBe(count);
    expect(socket.frames("task_assigned")).toHaveLength(count);
  });

  it("is read in few calls when many agents connect at once", async () => {
    const cluster = await board();
    const ids = Array.from({ length: 250 }, (_, index) => `agent-${index}`);
    for (const id of ids) await cluster.register(id, { heartbeat_timeout_seconds: 86_400 });
    // One has more than an answer has room for, others have one task or none.
    await cluster.register("busy", { capabilities: ["index"], max_concurrent_tasks: 1000 });
    const busy = Array.from({ length: 700 }, (_, index) => `busy-${index}`);
    for (const id of busy) await cluster.submit({ id, type: "index" });
    for (let index = 0; index < 200; index++) await cluster.submit({ id: `task-${index}` });
    const reads = cluster.countReads();

    const sockets = ["busy", ...ids].map((id) => cluster.connect(id));
    await cluster.pass(100);

    const told = sockets.map((socket) => socket.frames("task_assigned").map(({ task }) => task.id));
    expect(told[0]).toEqual(busy);
    expect(told.slice(1).flat().sort()).toEqual(
      Array.from({ length: 200 }, (_, index) => `task-${index}`).sort(),
    );
    for (const [index, id] of ["busy", ...ids].entries()) {
      const holders = sockets[index]?.frames("task_assigned").map(({ task }) => task.assigned_to) ?? [];
      expect(new Set([id, ...holders])).toEqual(new Set([id]));
    }
    // The first go alone, and doorbells that are repeated just then have some lists read twice.
    expect(reads.perCall.length).toBeLessThan(ids.length / 10);
    expect(Math.max(...reads.perCall)).toBeLessThanOrEqual(100);
  });

  it("is read in answers of some size: what has no room is asked again, and nothing is left out", async () => {
    const cluster = await board();
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

  it("is read by others though a call that reads is not answered", async () => {
    const cluster = await board();
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
    // Given up after 10 s, and tried again.
    await cluster.pass(11_000);
    expect(a.frames("task_assigned")).toHaveLength(1);
  });

  it("is pushed though the coordinator cannot be reached at first", async () => {
    const cluster = await board();
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

  it("tells of what was taken", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    good(cluster.cluster.coordinator.serve((service) => service.cancel("one")));
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_revoked")).toEqual([
      { type: "task_revoked", task_id: "one", attempt: 1, reason: "cancelled" },
    ]);
  });

  it("does not name what was taken while the list was on its way", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    const { world } = cluster;
    const call = world.call.bind(world);
    // Every answer takes its time, so that the list is old when it arrives.
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

  it("comes, one by one, as messages do", async () => {
    const cluster = await board();
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

describe("what was taken while the group could not be reached", () => {
  /** `a` is connected and runs `one`, whose cancellation its group is not told of at first. */
  async function untold() {
    const cluster = await board();
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
  const rings = (cluster: Switchboard) => cluster.cluster.revoked.length;

  it("is told as soon as it can be", async () => {
    const { cluster, socket, reconnect } = await untold();
    await cluster.pass(500);
    reconnect();
    expect(socket.frames("task_revoked")).toEqual([]);
    await cluster.pass(1000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
    await cluster.pass(10_000_000);
    expect(rings(cluster)).toBe(2);
  });

  it("is told with back-off until it was heard, though the agent reads its list meanwhile", async () => {
    const { cluster, socket, reconnect } = await untold();
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
    expect(rings(cluster)).toBe(6);
    reconnect();
    await cluster.pass(32_000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
  });

  it("is told with what is taken next", async () => {
    const { cluster, socket, reconnect } = await untold();
    await cluster.submit({ id: "two" });
    await cluster.pass(15_000);
    reconnect();
    good(cluster.cluster.coordinator.serve((service) => service.cancel("two")));
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_revoked").map(({ task_id }) => task_id)).toEqual(["one", "two"]);
  });

  it("outlives a failover that is merely imagined", async () => {
    const { cluster, socket, reconnect } = await untold();
    await cluster.pass(500);
    good(
      cluster.cluster.coordinator.serve((service) => service.simulateFailover({ agents: ["a"], groups: [] })),
    );
    reconnect();
    await cluster.pass(1000);
    expect(socket.frames("task_revoked")).toEqual([REVOKED]);
  });

  it("is told again if only the answer was lost, and nothing else is", async () => {
    const cluster = await board();
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
    { when: "registers again", go: (c: Switchboard) => c.register("a") },
    {
      when: "is not live any more",
      go: async (c: Switchboard) =>
        void c.group.serve((service) => service.reportFailure("a", { failure_type: "x" })),
    },
  ])("is not told any more once the agent $when", async ({ go }) => {
    const { cluster, reconnect } = await untold();
    await cluster.pass(3500);
    reconnect();
    const before = rings(cluster);
    await go(cluster);
    await cluster.pass(100_000);
    expect(rings(cluster)).toBe(before);
  });

  it("is given up after an hour or so", async () => {
    const { cluster, reconnect } = await untold();
    await cluster.pass(10_000_000);
    // At once, and after 1 s, 3 s, … 4,095 s.
    expect(rings(cluster)).toBe(13);
    reconnect();
    await cluster.pass(10_000_000);
    expect(rings(cluster)).toBe(13);
  });
});

describe("what an agent asks", () => {
  it("is answered in order, one answer each, reports among the rest", async () => {
    const cluster = await board();
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

  it("costs one commit in the group and one in the coordinator for all frames of a tick", async () => {
    const cluster = await board();
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

  it("is answered by each frame of a batch for itself", async () => {
    const cluster = await board();
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
  ])("is refused, and the connection stays, when it is $what", async ({ frame, code }) => {
    const cluster = await board();
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

  it("is refused by name when the report is stale or another's", async () => {
    const cluster = await board();
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

  it("is unavailable when the coordinator cannot be reached, and the next report goes again", async () => {
    const cluster = await board();
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

  it("is refused alone when it breaks, and what came with it is served", async () => {
    const cluster = await board();
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

  it("is not heard any more when it is a flood", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    const long = "x".repeat(262_144);
    for (let frame = 0; frame < 300; frame++) socket.send(long);
    expect(socket.closed).toEqual({ code: 1008, reason: "policy" });
    // No crash: it is given its timeout.
    expect(cluster.sessions()).toMatchObject([{ connection: null, suspect_until: null }]);
    expect(cluster.isLive("a")).toBe(true);
  });

  it("takes messages out of its box", async () => {
    const cluster = await board();
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

describe("a task whose doorbell was lost", () => {
  it("is pushed all the same, though the agent starts another meanwhile", async () => {
    const cluster = await board();
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

describe("an agent to which there is much to say", () => {
  const LONG = "x".repeat(60_000);

  it("is given no more tasks at a time than it starts, and all in the end", async () => {
    const cluster = await board();
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
    const cluster = await board();
    await cluster.register("a");
    for (let index = 0; index < 60; index++) {
      cluster.group.serve((service) =>
        service.messages.send("a", { from: "operator", message_type: "note", content: LONG }),
      );
    }
    const socket = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("message").length).toBeLessThan(20);
    // Messages that nobody takes hold up no task.
    await cluster.submit({ id: "one" });
    await cluster.pass(MESSAGE_MS);
    expect(socket.frames("task_assigned")).toHaveLength(1);

    for (let index = 0; index < socket.frames("message").length; index++) {
      const message_id = socket.frames("message")[index]?.message.id;
      socket.send({ type: "message_ack", request_id: `${index}`, message_id });
      await cluster.pass(MESSAGE_MS);
    }
    const told = socket.frames("message").map(({ message }) => message.id);
    expect(told).toHaveLength(60);
    expect(new Set(told).size).toBe(60);
  });

  it("is given the rest of its tasks though it starts them by calls", async () => {
    const cluster = await board();
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

  it("is told of all that was held back though its group's instance is gone", async () => {
    const cluster = await board();
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

  it("hears its messages for ever, though it acknowledges them by calls", async () => {
    const cluster = await board();
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

  it("is to connect anew when it goes on asking, and loses no place in a line", async () => {
    const cluster = await board();
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
    const told = socket.received.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0);
    expect(told).toBeLessThan(18 * 1024 * 1024);
    // No crash: it is given its timeout.
    expect(cluster.sessions()).toMatchObject([{ connection: null, suspect_until: null }, {}]);
    expect(cluster.group.serve((service) => good(service.locks.get("tape")).waiters)).toEqual(["a"]);
  });

  it("shows by what it does that it reads, and stays connected", async () => {
    const cluster = await board();
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
  it("takes the place of the older one, which is no break", async () => {
    const cluster = await board();
    const first = await cluster.connected("a");
    const second = cluster.connect("a");
    await cluster.pass(MESSAGE_MS);
    expect(first.closed).toEqual({ code: 4000, reason: "replaced" });
    expect(second.closed).toBeNull();
    // Its end is told late, and says nothing of the agent.
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
      end: (c: Switchboard) => void c.group.serve((s) => s.reportFailure("a", { failure_type: "x" })),
    },
    { how: "it unregisters", end: (c: Switchboard) => void c.group.serve((s) => s.unregister("a", ADMIN)) },
    { how: "it registers elsewhere", end: (c: Switchboard) => c.register("a") },
  ])("closes its socket with a word when $how", async ({ end }) => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    await end(cluster);
    await cluster.pass(MESSAGE_MS);
    expect(socket.received.at(-1)).toEqual({ type: "session_expired" });
    expect(socket.closed).toEqual({ code: 4410, reason: "session_expired" });
  });

  it("lets it connect no more", async () => {
    const cluster = await board();
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
  it("makes its agent suspect at once, and inactive when the grace is over, never before", async () => {
    const cluster = await board();
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
    { sign: "a heartbeat", show: (c: Switchboard) => void good(c.heartbeat("a")) },
    { sign: "a new socket", show: (c: Switchboard) => void c.connect("a") },
    {
      sign: "any call",
      show: (c: Switchboard) =>
        void good(
          c.group.serve((s) =>
            s.locks.acquire("disk", { agent_id: "a" }, agentPrincipal("a", c.incarnationOf("a"))),
          ),
        ),
    },
  ])("is forgotten at $sign in time", async ({ show }) => {
    const cluster = await board();
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

  it("is found at the second look where the grace is none", async () => {
    const cluster = await board({ heartbeat_config: { reconnect_grace_seconds: 0 } });
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    await cluster.pass(1000);
    const brokenMs = cluster.world.nowMs;
    socket.break();
    await cluster.pass(SECOND_LOOK_MS + MESSAGE_MS);
    const [failure] = cluster.failures();
    expect(failure).toMatchObject({ agent_id: "a", failure_type: "connection_lost" });
    expect(Date.parse(failure?.at ?? "") - brokenMs).toBeLessThanOrEqual(SECOND_LOOK_MS + 5);
  });

  it("says less than a timeout that is shorter than the grace", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a");
    socket.break();
    await cluster.pass(TIMEOUT_MS + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "heartbeat_timeout" }]);
  });

  it("is remembered over an eviction", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    socket.break();
    cluster.group.evict();
    await cluster.pass(GRACE_MS + 1000 + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "connection_lost" }]);
  });

  it("is no crash when it was closed in good order: the timeout counts", async () => {
    const cluster = await board();
    const socket = await cluster.connected("a", { heartbeat_timeout_seconds: 30 });
    socket.close();
    await cluster.pass(29_000);
    expect(cluster.agent("a").status).toBe("active");
    await cluster.pass(1000 + SECOND_LOOK_MS + MESSAGE_MS);
    expect(cluster.failures()).toMatchObject([{ failure_type: "heartbeat_timeout" }]);
  });
});

describe("sockets that we cut ourselves", () => {
  it.each([
    { how: "a crash of the object", cut: (c: Switchboard) => c.group.end(), cause: "sockets_gone" },
    {
      how: "a restart of the server",
      cut: (c: Switchboard) => {
        c.cluster.kill();
        c.cluster.start();
      },
      cause: "restarted",
    },
  ])("by $how fail nobody before a whole timeout, and one event says so", async ({ cut, cause }) => {
    const cluster = await board();
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

  it("give a suspect its whole timeout too", async () => {
    const cluster = await board();
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
  it("is draining while the agent drains, and active again", async () => {
    const cluster = await board();
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
