/** Sockets of agents on the platform: automatic answers, hibernation, evictions, and the events of a closed socket. */
import { evictDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import { connectUrl } from "../../src/objects/object-names.ts";
import { agentPrincipal } from "../support/principals.ts";
import { codeOf, good, granted, inside, newCluster, registration, submission } from "./objects.ts";

type Frame = { type: string } & Record<string, unknown>;

/** The agent's end of a socket, and the frames that it received. */
class Socket {
  readonly heard: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #socket: WebSocket;
  #wake = () => {};

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
    });
    socket.addEventListener("message", ({ data }) => {
      this.heard.push(String(data));
      this.#wake();
    });
    socket.accept();
  }

  get frames(): Frame[] {
    return this.heard.filter((text) => text !== "pong").map((text) => JSON.parse(text) as Frame);
  }

  /** Waits until the received frames are as wanted. */
  async until(isSo: (socket: Socket) => boolean): Promise<void> {
    while (!isSo(this)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async ping(): Promise<void> {
    const pongs = () => this.heard.filter((text) => text === "pong").length;
    const before = pongs();
    this.#socket.send("ping");
    await this.until(() => pongs() > before);
  }

  async ask(frame: Frame): Promise<Frame> {
    this.#socket.send(JSON.stringify(frame));
    const isAnswer = (answer: Frame) =>
      (answer.type === "ack" || answer.type === "error") && answer.request_id === frame.request_id;
    await this.until(({ frames }) => frames.some(isAnswer));
    return this.frames.find(isAnswer) ?? frame;
  }

  close(code?: number): void {
    this.#socket.close(code);
  }
}

/** A group with agents that are registered, by default with the usual interval of 10 s and timeout of 30 s. */
async function group(...ids: string[]) {
  const { coordinator, group } = newCluster();
  const north = group("north");
  const incarnations = new Map<string, number>();
  for (const id of ids) {
    const { agent } = good(
      await coordinator.register({ group: "north", agentId: id }, registration(), ADMIN),
    );
    incarnations.set(id, agent.incarnation);
  }
  const incarnationOf = (id: string) => incarnations.get(id) ?? 0;
  return {
    coordinator,
    north,
    incarnationOf,
    async connect(id: string): Promise<Socket> {
      const { webSocket } = await north.fetch(connectUrl(id, incarnationOf(id)), {
        headers: { Upgrade: "websocket" },
      });
      if (webSocket === null) throw new Error("not connected");
      const socket = new Socket(webSocket);
      // Every agent does this: workerd does not close a socket that has not sent a frame yet.
      await socket.ping();
      return socket;
    },
    liveness: async (id: string) => (await north.liveness([id]))[0],
    /** The stored state of an agent's socket. */
    session: (id: string) =>
      inside(north, (_, { storage }) =>
        storage.sql
          .exec("SELECT connection, suspect_until FROM sessions WHERE agent_id = ?", id)
          .toArray()
          .at(0),
      ),
  };
}

/** Runs the alarm as if it were due, without changing the clock. */
const runAlarm = (north: Awaited<ReturnType<typeof group>>["north"]) =>
  inside(north, async (instance, { storage }) => {
    await storage.deleteAlarm();
    instance.alarm({ scheduledTime: Date.now(), isRetry: false, retryCount: 0 });
  });

describe("a ping", () => {
  it("is answered without an event of the object, which reads its time later, also after an eviction", async () => {
    const { north, connect, liveness, session } = await group("a");
    const socket = await connect("a");
    const registered = await liveness("a");
    const before = await inside(north, (instance) => instance.rowsWritten());
    const fromMs = Date.now();
    for (let count = 0; count < 20; count++) await socket.ping();
    expect(await inside(north, (instance) => instance.rowsWritten())).toBe(before);

    const known = await liveness("a");
    expect(Date.parse(known?.last_heartbeat_at ?? "")).toBeGreaterThanOrEqual(fromMs);
    expect(Date.parse(known?.last_heartbeat_at ?? "")).toBeGreaterThanOrEqual(
      Date.parse(registered?.last_heartbeat_at ?? ""),
    );

    await evictDurableObject(north);

    expect((await liveness("a"))?.last_heartbeat_at).toBe(known?.last_heartbeat_at);
    await socket.ping();
    await evictDurableObject(north);
    const latest = await liveness("a");
    expect(Date.parse(latest?.last_heartbeat_at ?? "")).toBeGreaterThanOrEqual(
      Date.parse(known?.last_heartbeat_at ?? ""),
    );
    expect(Date.parse(latest?.deadline_at ?? "")).toBeGreaterThanOrEqual(
      Date.parse(latest?.last_heartbeat_at ?? "") + 30_000,
    );
    expect((await session("a"))?.suspect_until).toBeNull();
  });
});

describe("a socket whose group is evicted", () => {
  it("stays open, is answered, and gets what is pushed", async () => {
    const { coordinator, north, connect } = await group("a");
    const socket = await connect("a");
    good(await coordinator.submit(submission({ id: "one" })));
    await socket.until(({ frames }) => frames.some(({ type }) => type === "task_assigned"));

    await evictDurableObject(north);

    expect(
      await socket.ask({ type: "task_start", request_id: "1", task_id: "one", attempt: 1 }),
    ).toMatchObject({ type: "ack", task: { id: "one", status: "running" } });
    const granted = await socket.ask({ type: "lock_acquire", request_id: "2", resource: "disk" });

    await evictDurableObject(north);

    good(await north.sendMessage("a", { from: "operator", message_type: "note", content: "hello" }));
    await socket.until(({ frames }) => frames.some(({ type }) => type === "message"));

    await evictDurableObject(north);

    expect(await socket.ask({ type: "lock_acquire", request_id: "3", resource: "disk" })).toMatchObject({
      lock: { fencing_token: (granted.lock as { fencing_token: number }).fencing_token },
    });
  });

  it("gets `session_expired` at the end of its incarnation", async () => {
    const { north, connect } = await group("a");
    const socket = await connect("a");
    await evictDurableObject(north);
    good(await north.reportFailure("a", { failure_type: "reported" }));
    expect(await socket.closed).toEqual({ code: 4410, reason: "session_expired" });
    expect(socket.frames.at(-1)).toEqual({ type: "session_expired", reason: "failed" });
  });

  it("can close normally before the object runs again: its agent is not suspect, and other agents are not affected", async () => {
    const { north, connect, session, liveness } = await group("a", "b", "c");
    const sockets = [await connect("a"), await connect("b"), await connect("c")];
    const before = await liveness("c");
    await evictDurableObject(north);
    sockets[0]?.close(1000);
    sockets[1]?.close(1000);
    await Promise.all(sockets.slice(0, 2).map((socket) => socket.closed));
    await expect.poll(() => session("a")).toEqual({ connection: null, suspect_until: null });
    await expect.poll(() => session("b")).toEqual({ connection: null, suspect_until: null });
    expect((await session("c"))?.connection).not.toBeNull();
    expect(Date.parse((await liveness("c"))?.deadline_at ?? "")).toBeLessThanOrEqual(
      Date.parse(before?.deadline_at ?? "") + 1000,
    );
  });
});

describe("a socket that is missing when its group starts", () => {
  it("was cut by the server, so every agent gets its whole timeout again", async () => {
    const { coordinator, north, connect, session, liveness } = await group("a", "b");
    const socket = await connect("a");
    const beforeMs = Date.now();
    await evictDurableObject(north, { webSockets: "close" });
    await socket.closed;
    for (const id of ["a", "b"]) {
      const deadlineMs = Date.parse((await liveness(id))?.deadline_at ?? "");
      expect(deadlineMs).toBeGreaterThanOrEqual(beforeMs + 30_000);
    }
    expect(await session("a")).toEqual({ connection: null, suspect_until: null });
    await expect
      .poll(async () =>
        (await coordinator.events(0, 100)).filter(({ type }) => type === "coordinator.paused"),
      )
      .toMatchObject([{ data: { cause: "sockets_gone" } }]);
  });
});

describe("a newer connection", () => {
  it("replaces the older one", async () => {
    const { connect, session } = await group("a");
    const first = await connect("a");
    const number = (await session("a"))?.connection;
    const second = await connect("a");
    expect(await first.closed).toEqual({ code: 4000, reason: "replaced" });
    expect(await second.ask({ type: "heartbeat", request_id: "1" })).toEqual({
      type: "ack",
      request_id: "1",
    });
    const now = await session("a");
    expect(Number(now?.connection)).toBeGreaterThan(Number(number));
    expect(now?.suspect_until).toBeNull();
  });
});

describe("a socket that breaks", () => {
  it("makes its agent suspect until the grace is over, also across an eviction", async () => {
    const { coordinator, north, connect, session } = await group("a");
    await connect("a");
    // The platform reports a client without a close frame like this.
    await inside(north, (instance, ctx) => {
      const socket = ctx.getWebSockets().find((one) => ctx.getTags(one)[0]?.startsWith("connection/"));
      if (socket === undefined) throw new Error("no socket");
      instance.webSocketClose(socket, 1006, "", false);
    });
    const broken = await session("a");
    expect(broken?.connection).toBeNull();
    expect(Number(broken?.suspect_until)).toBeGreaterThan(Date.now());
    await expect.poll(async () => good(await coordinator.agent("a")).status).toBe("suspect");

    await evictDurableObject(north);

    expect(await session("a")).toEqual(broken);
    await inside(north, (_, { storage }) => {
      storage.sql.exec("UPDATE sessions SET suspect_until = ? WHERE agent_id = 'a'", Date.now() - 1);
    });
    await evictDurableObject(north);
    await runAlarm(north);
    await expect
      .poll(async () => (await coordinator.failures({}, 10, null)).items)
      .toMatchObject([{ agent_id: "a", failure_type: "connection_lost" }]);
  });
});

describe("tasks that do not fit into the send window", () => {
  it("are pushed, also after an eviction, when earlier ones are acknowledged", async () => {
    const { north, connect } = await group("a");
    const content = "x".repeat(60_000);
    for (let index = 0; index < 40; index++) {
      good(await north.sendMessage("a", { from: "operator", message_type: "note", content }));
    }
    const a = await connect("a");
    const messages = () =>
      a.frames.flatMap((frame) => (frame.type === "message" ? [frame.message as { id: string }] : []));
    await a.until(() => messages().length > 0);
    const acknowledged = new Set<string>();
    while (acknowledged.size < 40) {
      await evictDurableObject(north);
      const next = messages().find(({ id }) => !acknowledged.has(id));
      if (next === undefined) throw new Error(`withheld for ever after ${acknowledged.size}`);
      acknowledged.add(next.id);
      await a.ask({ type: "message_ack", request_id: next.id, message_id: next.id });
    }
    expect(acknowledged.size).toBe(40);
  });
});

describe("a request to connect", () => {
  it("is accepted for a live incarnation only, and a refusal stores nothing in an unused group", async () => {
    const { north } = await group("a");
    const refused = await north.fetch(connectUrl("a", 999), { headers: { Upgrade: "websocket" } });
    expect(refused.webSocket).toBeNull();
    expect(await refused.json()).toMatchObject({ code: "session_expired" });
    const untouched = newCluster().group("untouched");
    const unknown = await untouched.fetch(connectUrl("unknown", 1), { headers: { Upgrade: "websocket" } });
    expect(unknown.webSocket).toBeNull();
    expect(codeOf(await untouched.signOfLife(agentPrincipal("unknown", 1)))).toBe("session_expired");
    const tables = await inside(untouched, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
    );
    expect(tables).toEqual([]);
  });
});

describe("a lock queue", () => {
  it("survives evictions, and asking again keeps the queue position", async () => {
    const { north, connect, incarnationOf } = await group("a", "b", "c");
    const held = granted(
      await north.acquireLock("disk", { agent_id: "a" }, agentPrincipal("a", incarnationOf("a"))),
    );
    const b = await connect("b");
    expect(
      await b.ask({ type: "lock_acquire", request_id: "1", resource: "disk", wait_seconds: 30 }),
    ).toMatchObject({ queued: true });
    good(
      await north.acquireLock(
        "disk",
        { agent_id: "c", wait_seconds: 30 },
        agentPrincipal("c", incarnationOf("c")),
      ),
    );

    await evictDurableObject(north);

    expect(good(await north.lock("disk")).waiters).toEqual(["b", "c"]);
    good(
      await north.acquireLock(
        "disk",
        { agent_id: "b", wait_seconds: 30 },
        agentPrincipal("b", incarnationOf("b")),
      ),
    );
    expect(good(await north.lock("disk")).waiters).toEqual(["b", "c"]);

    await evictDurableObject(north);

    good(await north.releaseLock("disk", held.fencing_token, ADMIN));
    await b.until(({ frames }) => frames.some(({ type }) => type === "lock_granted"));
    expect(b.frames.at(-1)).toMatchObject({ request_id: "1", lock: { holder: "b", waiters: ["c"] } });

    await evictDurableObject(north);

    expect(good(await north.lock("disk"))).toMatchObject({ holder: "b", waiters: ["c"] });
  });
});
