/** Agents on sockets: authentication, pushed and answered frames, and the effect of a broken connection. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SUBPROTOCOL } from "../../src/contract/socket.ts";
import { AgentSocket } from "../support/agent-socket.ts";
import { Answer, apiOfThisFile } from "../support/checked-cluster.ts";
import { connected, registered } from "../support/connected-agent.ts";
import { shakeHands, textFrame } from "../support/raw-socket.ts";
import { until } from "../support/until.ts";

const api = apiOfThisFile();

const problemOf = ({ status, headers, body }: Awaited<ReturnType<typeof shakeHands>>) =>
  new Answer(status, new Headers(headers as Record<string, string>), body);

/** Connections to the port that the other end has closed and ours has not: CLOSE_WAIT, as the kernel lists it. */
function halfClosed(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const lines = ["tcp", "tcp6"].flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").split("\n"));
  return lines.filter((line) => line.includes(local) && / 08 /.test(line) && line.indexOf(local) < 30).length;
}

describe("connecting", () => {
  it("takes the token from the subprotocols, and selects our subprotocol", async () => {
    const { socket } = await connected(api.cluster(), "a1");
    using _ = socket;
    expect(socket.protocol).toBe(SUBPROTOCOL);
    await socket.ping();
  });

  it("takes the token from the header, and selects no protocol that was not offered", async () => {
    const { url, token } = await registered(api.cluster(), "a1");
    const plain = await shakeHands(url, { Authorization: `Bearer ${token}` });
    expect(plain.status).toBe(101);
    expect(plain.headers["sec-websocket-protocol"]).toBeUndefined();
    plain.destroy();
    const offered = await shakeHands(url, {
      Authorization: `Bearer ${token}`,
      "Sec-WebSocket-Protocol": `other, ${SUBPROTOCOL}`,
    });
    expect(offered.status).toBe(101);
    expect(offered.headers["sec-websocket-protocol"]).toBe(SUBPROTOCOL);
    offered.destroy();
  });

  it.each([
    { what: "no token", headers: {} },
    { what: "a token without our protocol", headers: { "Sec-WebSocket-Protocol": "bearer.TOKEN" } },
    {
      what: "a token that is not ours",
      headers: { "Sec-WebSocket-Protocol": `${SUBPROTOCOL}, bearer.x.y.z` },
    },
  ])("is refused with $what", async ({ headers }) => {
    const { url, token } = await registered(api.cluster(), "a1");
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace("TOKEN", token)]),
    );
    problemOf(await shakeHands(url, filled)).problem(401, "unauthorized");
  });

  it("is refused to other agents, to operators, and with a subprotocol on another route", async () => {
    const cluster = api.cluster();
    const { url } = await registered(cluster, "a1");
    const other = await registered(cluster, "a2");
    const as = (token: string) => ({ Authorization: `Bearer ${token}` });
    problemOf(await shakeHands(url, as(other.token))).problem(403, "forbidden");
    problemOf(await shakeHands(url, as(api.server.adminToken))).problem(403, "forbidden");
    const elsewhere = await api.request("POST", `${cluster.path}/groups/default/agents/a2/heartbeat`, {
      token: null,
      headers: { "Sec-WebSocket-Protocol": `${SUBPROTOCOL}, bearer.${other.token}` },
    });
    elsewhere.problem(401, "unauthorized");
  });

  it("needs a WebSocket client, and the refusal says so", async () => {
    const { agent } = await registered(api.cluster(), "a1");
    const problem = (await agent.request("GET", `${agent.path}/connect`)).problem(400, "invalid_request");
    expect(problem.detail).toContain("WebSocket");
  });

  it("is refused to an ended incarnation", async () => {
    const cluster = api.cluster();
    const { url, token } = await registered(cluster, "a1");
    await cluster.register("a1");
    problemOf(await shakeHands(url, { Authorization: `Bearer ${token}` })).problem(410, "session_expired");
  });
});

describe("over its socket an agent", () => {
  it("gets waiting tasks and messages, and new ones", async () => {
    const cluster = api.cluster();
    const { agent, url, token } = await registered(cluster, "a1");
    await cluster.submit({ id: "before" });
    await cluster.tell("a1", { message_type: "note", content: "before" });
    using socket = await AgentSocket.open(url, token);
    expect((await socket.first("task_assigned")).task).toMatchObject({ id: "before", attempt: 1 });
    expect((await socket.first("message")).message).toMatchObject({ content: "before" });

    await cluster.submit({ id: "after" });
    await socket.first("task_assigned", ({ task }) => task.id === "after");
    await cluster.tell("a1", { message_type: "note", content: "after" });
    const { message } = await socket.first("message", (frame) => frame.message.content === "after");
    expect(await socket.ask({ type: "message_ack", message_id: message.id })).toMatchObject({ type: "ack" });
    expect((await agent.readMessages()).map(({ content }) => content)).toEqual(["before"]);

    await cluster.post("/tasks/after/cancel");
    expect(await socket.first("task_revoked")).toMatchObject({
      task_id: "after",
      attempt: 1,
      reason: "cancelled",
    });
    expect(socket.all("task_assigned")).toHaveLength(2);
  });

  it("is notified of its drain and its resumption", async () => {
    const cluster = api.cluster();
    const { agent, socket } = await connected(cluster, "a1");
    using _ = socket;
    await cluster.post(`${agent.path}/drain`, { mode: "finish" });
    expect(await socket.first("drain")).toEqual({ type: "drain", mode: "finish", deadline_at: null });
    expect((await agent.heartbeat()).status).toBe("draining");
    await cluster.post(`${agent.path}/resume`);
    await socket.first("drain", ({ mode }) => mode === null);
    expect((await agent.heartbeat()).status).toBe("active");
  });

  it("starts, reports and completes, and gets each answer with its request id and in order", async () => {
    const cluster = api.cluster();
    const { socket } = await connected(cluster, "a1");
    using _ = socket;
    await cluster.submit({ id: "t1" });
    await socket.first("task_assigned");
    const report = { task_id: "t1", attempt: 1 };
    socket.send({ type: "task_start", request_id: "s", ...report });
    socket.send({ type: "task_progress", request_id: "p", ...report, progress: 0.5 });
    socket.send({ type: "lock_acquire", request_id: "l", resource: "disk" });
    socket.send({ type: "task_complete", request_id: "c", ...report, result: { pages: 7 } });
    expect(await socket.answer("c")).toMatchObject({ type: "ack", task: { status: "completed" } });
    const order = socket.heard.flatMap((frame) => ("request_id" in frame ? [frame.request_id] : []));
    expect(order).toEqual(["s", "p", "l", "c"]);
    expect(await cluster.task("t1")).toMatchObject({ status: "completed", result: { pages: 7 } });

    // The answers of many agents are sent together: none may be as large as its task's data.
    expect(JSON.stringify(await socket.answer("c"))).not.toContain("pages");

    await cluster.submit({ id: "t2" });
    await socket.first("task_assigned", ({ task }) => task.id === "t2");
    const failed = await socket.ask({
      type: "task_fail",
      task_id: "t2",
      attempt: 1,
      error: { message: "no", retryable: false },
    });
    expect(failed).toMatchObject({ type: "ack", task: { status: "failed" } });
    expect(await socket.ask({ type: "task_start", task_id: "t1", attempt: 2 })).toMatchObject({
      type: "error",
      code: "stale_attempt",
      status: 409,
    });
  });

  it("may send a batch, whose frames are answered one by one", async () => {
    const cluster = api.cluster();
    const { socket } = await connected(cluster, "a1", { max_concurrent_tasks: 100 });
    using _ = socket;
    for (let index = 0; index < 50; index++) await cluster.submit({ id: `t${index}` });
    await until(async () => socket.all("task_assigned").length === 50, "all tasks to be pushed");
    // Longer than a single frame may be.
    const result = "x".repeat(20_000);
    socket.send({
      type: "batch",
      frames: [
        ...Array.from({ length: 50 }, (_, index) => ({
          type: "task_complete",
          request_id: `r${index}`,
          task_id: `t${index}`,
          attempt: 1,
          result,
        })),
        { type: "task_complete", request_id: "last" },
      ],
    });
    expect(await socket.answer("last")).toMatchObject({ type: "error", code: "invalid_request" });
    const acks = socket.all("ack").map(({ request_id }) => request_id);
    expect(acks).toEqual(Array.from({ length: 50 }, (_, index) => `r${index}`));
    expect((await cluster.status()).tasks.completed).toBe(50);
  });

  it("gets an error for an invalid frame, and stays connected", async () => {
    const { socket } = await connected(api.cluster(), "a1");
    using _ = socket;
    socket.send("{");
    expect(await socket.first("error")).toMatchObject({ request_id: null, code: "invalid_request" });
    socket.send(new TextEncoder().encode("{}").buffer);
    await until(async () => socket.all("error").length === 2, "the second error");
    expect(await socket.ask({ type: "task_start", task_id: "t", attempt: 1, surplus: 1 })).toMatchObject({
      code: "invalid_request",
      errors: [{ path: "surplus" }],
    });
    expect(
      await socket.ask({ type: "task_complete", task_id: "t", attempt: 1, result: "x".repeat(262_144) }),
    ).toMatchObject({ code: "payload_too_large", status: 413 });
    expect(await socket.ask({ type: "heartbeat" })).toMatchObject({ type: "ack" });
  });

  it("is disconnected when it sends too many frames, and no other agent is", async () => {
    const cluster = api.cluster();
    const { socket } = await connected(cluster, "a1");
    const calm = await connected(cluster, "a2");
    using _ = calm.socket;
    // More within a second than an agent may send, however slow this machine is.
    const long = "x".repeat(30_000_000);
    for (let frame = 0; frame < 3; frame++) socket.send(long);
    expect(await socket.closed).toMatchObject({ code: 1008 });
    await calm.socket.ping();
    expect((await cluster.agent("a1")).status).toBe("active");
  });

  it("is disconnected with `renewed` when it only sends requests and does not read, within a bound on memory", async () => {
    const cluster = api.cluster();
    const holder = await registered(cluster, "a1");
    const resource = '"'.repeat(256);
    await holder.agent.acquire(encodeURIComponent(resource), { ttl_seconds: 600 });
    const waiting: AgentSocket[] = [];
    for (let index = 0; index < 10; index++) {
      const { socket } = await connected(cluster, `${index}`.repeat(128));
      waiting.push(socket);
      await socket.ask({ type: "lock_acquire", resource, wait_seconds: 30 });
    }
    const { wire } = await shakeHands(holder.url, { Authorization: `Bearer ${holder.token}` });
    if (wire === null) throw new Error("not connected");

    // Answers of about 2 KB each, twice as much as may stay unread; in frames too few for the rate limit.
    const ask = { type: "lock_acquire", request_id: "1", resource, ttl_seconds: 60 };
    const batch = textFrame(
      JSON.stringify({ type: "batch", frames: Array.from({ length: 1000 }, () => ask) }),
    );
    for (let sent = 0; sent < 18; sent++) {
      wire.write(batch);
      // Served in between: other agents do not wait.
      expect(await waiting[0]?.ask({ type: "heartbeat" })).toMatchObject({ type: "ack" });
    }
    // Now the client reads: answers, then the close frame with its code and reason.
    let heardBytes = 0;
    for await (const chunk of wire as AsyncIterable<Buffer>) {
      heardBytes += chunk.length;
      if (chunk.subarray(-9).toString("latin1") === "\x0f\xa1renewed") break;
    }
    expect(heardBytes).toBeGreaterThan(16 * 1024 * 1024);
    expect(heardBytes).toBeLessThan(24 * 1024 * 1024);
    expect((await cluster.agent("a1")).status).toBe("active");
    for (const socket of waiting) socket.close();
  });

  it("leaves no connection behind when many newer ones replace each other quickly", async () => {
    const cluster = api.cluster();
    const { url, token } = await registered(cluster, "a1");
    for (let round = 0; round < 3; round++) {
      const shaken = await Promise.all(
        Array.from({ length: 40 }, async () => {
          const handshake = await shakeHands(url, { Authorization: `Bearer ${token}` });
          handshake.wire?.write(textFrame("ping"));
          return handshake;
        }),
      );
      for (const { destroy } of shaken) destroy();
    }
    await until(async () => halfClosed(api.server.port) === 0, "the server to let go of them");
    using newest = await AgentSocket.open(url, token);
    expect(await newest.ask({ type: "heartbeat" })).toMatchObject({ type: "ack" });
  });

  it("has its older connection closed by a newer one", async () => {
    const cluster = api.cluster();
    const { socket, url, token } = await connected(cluster, "a1");
    using newer = await AgentSocket.open(url, token);
    expect(await socket.closed).toMatchObject({ code: 4000, reason: "replaced" });
    expect(await newer.ask({ type: "heartbeat" })).toMatchObject({ type: "ack" });
    expect((await cluster.agent("a1")).status).toBe("active");
  });

  it.each([
    { how: "failure", expected: { reason: "failed" } },
    { how: "unregistering", expected: { reason: "unregistered" } },
    { how: "registering", expected: { reason: "superseded", superseded_by: "host/2/other" } },
  ])("gets session_expired with the reason when its incarnation ends by $how", async ({ how, expected }) => {
    const cluster = api.cluster();
    const { agent, socket } = await connected(cluster, "a1");
    if (how === "failure") await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    if (how === "unregistering") await agent.unregister();
    if (how === "registering") await cluster.register("a1", { instance: "host/2/other" });
    expect(await socket.closed).toMatchObject({ code: 4410, reason: "session_expired" });
    expect(socket.heard.at(-1)).toEqual({ type: "session_expired", ...expected });
  });
});

describe("a crash of an agent's process", () => {
  it("causes no failure if the agent is back within the grace", async () => {
    const cluster = api.cluster();
    await using events = await cluster.events();
    const { url, token } = await registered(cluster, "a1");
    const raw = await shakeHands(url, { Authorization: `Bearer ${token}` });
    raw.destroy();
    await events.first(({ type }) => type === "agent.suspect", "the suspicion");
    expect((await cluster.agent("a1")).status).toBe("suspect");
    using socket = await AgentSocket.open(url, token);
    await events.first(({ type }) => type === "agent.active", "the return");
    await socket.ping();
    expect((await cluster.failures()).items).toEqual([]);
  });

  it("causes no failure before the whole timeout if the socket closed normally", async () => {
    const cluster = api.cluster();
    await cluster.configure({ heartbeat_config: { reconnect_grace_seconds: 0 } });
    const { socket } = await connected(cluster, "a1", {
      heartbeat_interval_seconds: 0.2,
      heartbeat_timeout_seconds: 1,
    });
    await socket.ping();
    const lastMs = Date.now();
    socket.close();
    const [failure] = await until(async () => {
      const { items } = await cluster.failures();
      return items.length > 0 && items;
    }, "the failure");
    expect(failure).toMatchObject({ failure_type: "heartbeat_timeout" });
    expect(Date.parse(failure?.at ?? "") - lastMs).toBeGreaterThanOrEqual(1000);
  });
});

it("a restart of the server fails no agent whose socket it cut, even with a grace of 0", async () => {
  const cluster = api.cluster();
  await cluster.configure({ heartbeat_config: { reconnect_grace_seconds: 0 } });
  const agents = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      connected(cluster, `a${index}`, { heartbeat_interval_seconds: 1, heartbeat_timeout_seconds: 3 }),
    ),
  );
  await api.server.kill();
  const closed = await Promise.all(agents.map(({ socket }) => socket.closed));
  expect(closed.map(({ code }) => code)).toEqual(agents.map(() => 1006));
  await api.server.restart();
  const back = await Promise.all(agents.map(({ url, token }) => AgentSocket.open(url, token)));
  for (const socket of back) await socket.ping();
  expect((await cluster.failures()).items).toEqual([]);
  const { items } = await cluster.agents({ status: "active" });
  expect(items).toHaveLength(20);
  await using events = await cluster.events();
  const pause = await events.first(
    ({ type, subject }) => type === "coordinator.paused" && subject === "group/default",
    "the word of our absence",
  );
  expect(pause.data).toMatchObject({ cause: "restarted" });
  for (const socket of back) socket.close();
});
