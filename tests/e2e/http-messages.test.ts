/** Mailboxes: sending to an agent, reading, waiting, acknowledging. */
import { describe, expect, it } from "vitest";
import { type AgentMessage, MessageAnswer } from "../../src/contract/message.ts";
import { apiOfThisFile } from "../support/checked-cluster.ts";

const api = apiOfThisFile();

const contents = (messages: readonly AgentMessage[]) => messages.map(({ content }) => content);

/** Two agents, in groups of their own. */
async function pair() {
  const cluster = api.cluster();
  const one = await cluster.register("a1", { group: "north" });
  return { cluster, one, other: await cluster.register("a2", { group: "south" }) };
}

describe("sending", () => {
  it("puts a message into an agent's mailbox, from `operator` unless another sender is named", async () => {
    const { cluster, one } = await pair();

    const sent = await cluster.tell("a1", { message_type: "stop work", content: { job: [1, "x", null] } });
    const named = await cluster.tell("a1", { from: "scheduler", message_type: "note" });

    expect(sent).toMatchObject({
      from: "@operator",
      message_type: "stop work",
      content: { job: [1, "x", null] },
    });
    expect(Math.abs(Date.parse(sent.sent_at) - Date.now())).toBeLessThan(60_000);
    expect(named).toMatchObject({ from: "scheduler", content: null });
    expect(await one.readMessages()).toEqual([sent, named]);
    expect((await cluster.messages(one)).items).toEqual([sent, named]);
  });

  it("is allowed to an agent, to any agent of its cluster, under its own id", async () => {
    const { one, other } = await pair();

    const { message } = (await one.tryTell("a2", { message_type: "hello", content: 1 })).as(
      201,
      MessageAnswer,
    );
    await one.tryTell("a2", { from: "a1", message_type: "hello", content: 2 });
    await one.tryTell("a1", { message_type: "to myself", content: 3 });

    expect(message.from).toBe("a1");
    expect((await other.readMessages()).map(({ from, content }) => [from, content])).toEqual([
      ["a1", 1],
      ["a1", 2],
    ]);
    expect(contents(await one.readMessages())).toEqual([3]);
  });

  it("is refused under another agent's id", async () => {
    const { cluster, one, other } = await pair();

    for (const from of ["a2", "operator", "nobody"]) {
      (await one.tryTell("a2", { from, message_type: "note" })).problem(403, "forbidden");
    }

    expect(await other.readMessages()).toEqual([]);
    expect((await cluster.messages(one)).items).toEqual([]);
  });

  it("is refused to an ended incarnation", async () => {
    const { cluster, one, other } = await pair();
    await cluster.register("a1", { group: "north" });

    (await one.tryTell("a2", { message_type: "note" })).problem(410, "session_expired");

    expect(await other.readMessages()).toEqual([]);
  });

  it("counts as a sign of life of the sender", async () => {
    const { cluster, one } = await pair();
    const before = (await cluster.agent("a1")).last_heartbeat_at ?? "";

    await one.tryTell("a2", { message_type: "note" });

    const after = (await cluster.agent("a1")).last_heartbeat_at ?? "";
    expect(Date.parse(after)).toBeGreaterThan(Date.parse(before));
  });

  it("is refused to an unknown agent", async () => {
    const { cluster, one } = await pair();

    (await one.tryTell("a3", { message_type: "note" })).problem(404, "not_found");
    (await cluster.post("/agents/a3/messages", { message_type: "note" })).problem(404, "not_found");
  });

  it("accepts 64 KB of content, and names the field of a larger one", async () => {
    const { cluster } = await pair();
    const room = 64 * 1024 - 2;

    await cluster.tell("a1", { message_type: "note", content: "x".repeat(room) });
    const answer = await cluster.post("/agents/a1/messages", {
      message_type: "note",
      content: "x".repeat(room + 1),
    });

    const { errors } = answer.problem(400, "invalid_request");
    expect(errors).toEqual([{ path: "content", message: expect.stringContaining("64 KB") }]);
  });

  it("is refused when 1,000 messages are unread, and the refusal says what to do", async () => {
    const { cluster, one } = await pair();
    for (let batch = 0; batch < 20; batch++) {
      await Promise.all(Array.from({ length: 50 }, () => cluster.tell("a1", { message_type: "note" })));
    }

    const answer = await cluster.post("/agents/a1/messages", { message_type: "note" });

    expect(answer.problem(409, "limit_reached").detail).toContain("acknowledge");
    expect((await one.heartbeat()).unread_messages).toBe(1000);
    const [first] = await one.readMessages("?limit=1");
    await one.acknowledge(first?.id ?? "");
    await cluster.tell("a1", { message_type: "note" });
  });
});

describe("reading", () => {
  it("lists oldest first, page by page", async () => {
    const { cluster, one } = await pair();
    for (const content of [1, 2, 3, 4, 5]) await cluster.tell("a1", { message_type: "note", content });

    const first = await cluster.messages(one, { limit: 2 });
    const second = await cluster.messages(one, { limit: 2, cursor: first.next_cursor ?? "" });
    const third = await cluster.messages(one, { limit: 2, cursor: second.next_cursor ?? "" });

    expect([first, second, third].map(({ items }) => contents(items))).toEqual([[1, 2], [3, 4], [5]]);
    expect(third.next_cursor).toBeNull();
    expect(contents(await one.readMessages())).toEqual([1, 2, 3, 4, 5]);
  });

  it("waits for a message, and is woken by it", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 20 });

    const startedMs = performance.now();
    const waiting = [1, 2].map(() => agent.readMessages("?wait_seconds=20"));
    const sent = await cluster.tell("a1", { message_type: "note" });

    expect(await Promise.all(waiting)).toEqual([[sent], [sent]]);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("waits no longer than the heartbeat interval; its start is a sign of life, its end is none", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 0.3 });

    const startedMs = performance.now();
    expect(await agent.readMessages("?wait_seconds=20")).toEqual([]);

    const endedAtMs = Date.now();
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(290);
    expect(performance.now() - startedMs).toBeLessThan(5000);
    const signAtMs = Date.parse((await cluster.agent("a1")).last_heartbeat_at ?? "");
    expect(signAtMs).toBeGreaterThan(Date.parse(agent.registered.registered_at));
    expect(signAtMs).toBeLessThanOrEqual(endedAtMs - 290);
  });

  it("waits no longer than half the timeout", async () => {
    const agent = await api
      .cluster()
      .register("a1", { heartbeat_interval_seconds: 14, heartbeat_timeout_seconds: 15 });

    const startedMs = performance.now();
    expect(await agent.readMessages("?wait_seconds=20")).toEqual([]);

    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(7400);
    expect(performance.now() - startedMs).toBeLessThan(13_000);
  });

  it("ends with 410 when the agent fails meanwhile", async () => {
    const cluster = api.cluster();
    const agent = await cluster.register("a1", { heartbeat_interval_seconds: 15 });

    const startedMs = performance.now();
    const waiting = agent.tryReadMessages("?wait_seconds=15");
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    expect((await waiting).problem(410, "session_expired")).toMatchObject({ reason: "failed" });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("ends with 410 at once when another process registers the agent", async () => {
    const cluster = api.cluster();
    const first = await cluster.register("a1", { heartbeat_interval_seconds: 15, instance: "host/1/first" });

    const startedMs = performance.now();
    const waiting = first.tryReadMessages("?wait_seconds=15");
    await cluster.register("a1", { heartbeat_interval_seconds: 15, instance: "host/2/second" });

    expect((await waiting).problem(410, "session_expired")).toMatchObject({
      reason: "superseded",
      superseded_by: "host/2/second",
    });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("is refused for another agent's mailbox", async () => {
    const { cluster, one, other } = await pair();
    const { id } = await cluster.tell("a2", { message_type: "secret" });

    for (const [method, path] of [
      ["GET", `${other.path}/messages`],
      ["GET", `${other.path}/messages?wait_seconds=10`],
      ["POST", `${other.path}/messages/${id}/ack`],
    ] as const) {
      (await one.request(method, path)).problem(403, "forbidden");
    }

    expect(await other.readMessages()).toHaveLength(1);
  });
});

describe("acknowledging", () => {
  it("removes a message from the mailbox, and a repeated call has the same answer", async () => {
    const { cluster, one } = await pair();
    const first = await cluster.tell("a1", { message_type: "note" });
    const second = await cluster.tell("a1", { message_type: "note" });
    expect((await one.heartbeat()).unread_messages).toBe(2);

    for (let time = 0; time < 2; time++) {
      const answer = await one.acknowledge(first.id);
      expect([answer.status, answer.text]).toEqual([204, ""]);
      expect(await one.readMessages()).toEqual([second]);
      expect((await one.heartbeat()).unread_messages).toBe(1);
    }
  });

  it("of an unknown message is no error", async () => {
    const { one } = await pair();

    for (const id of ["1", "999999999", "nothing"]) expect((await one.acknowledge(id)).status).toBe(204);
  });

  it("is refused to an ended incarnation", async () => {
    const { cluster, one } = await pair();
    const { id } = await cluster.tell("a1", { message_type: "note" });
    const again = await cluster.register("a1", { group: "north" });

    (await one.acknowledge(id)).problem(410, "session_expired");

    expect(await again.readMessages()).toHaveLength(1);
  });

  it("can be done by an operator for an agent, also for one that is not live", async () => {
    const { cluster, one } = await pair();
    const { id } = await cluster.tell("a1", { message_type: "note" });
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });

    expect((await cluster.post(`${one.path}/messages/${id}/ack`)).status).toBe(204);

    expect((await cluster.messages(one)).items).toEqual([]);
  });
});

describe("a mailbox", () => {
  it("survives its agent's incarnations and failures", async () => {
    const { cluster } = await pair();
    await cluster.tell("a1", { message_type: "note", content: "to the first" });
    await cluster.register("a1", { group: "north" });
    await cluster.post("/agents/a1/failures", { failure_type: "reported" });
    await cluster.tell("a1", { message_type: "note", content: "to nobody yet" });

    const again = await cluster.register("a1", { group: "north" });

    expect((await again.heartbeat()).unread_messages).toBe(2);
    expect(contents(await again.readMessages())).toEqual(["to the first", "to nobody yet"]);
  });

  it("is emptied when its agent unregisters, or is dropped after a failure", async () => {
    const { cluster, one, other } = await pair();
    await cluster.tell("a1", { message_type: "note" });
    await cluster.tell("a2", { message_type: "note" });
    await cluster.post("/agents/a2/failures", { failure_type: "reported" });

    await one.unregister();
    await cluster.request("DELETE", other.path);

    for (const { id, group } of [one, other]) {
      const again = await cluster.register(id, { group });
      expect((await again.heartbeat()).unread_messages).toBe(0);
      expect(await again.readMessages()).toEqual([]);
    }
  });

  it("survives a kill of the server", async () => {
    const { cluster, one } = await pair();
    const first = await cluster.tell("a1", { message_type: "note", content: 1 });
    const second = await cluster.tell("a1", { message_type: "note", content: 2 });
    await one.acknowledge(first.id);

    await api.server.kill();
    await api.server.restart();

    expect((await one.heartbeat()).unread_messages).toBe(1);
    expect(await one.readMessages()).toEqual([second]);
    const third = await cluster.tell("a1", { message_type: "note", content: 3 });
    expect(Number(third.id)).toBeGreaterThan(Number(second.id));
  });
});
