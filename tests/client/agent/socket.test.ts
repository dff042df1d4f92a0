/** An agent with an open socket. */
import { describe, expect, it } from "vitest";
import { coordinatorWithAgents, FakeSocket, json, pass, problem, task } from "../fakes.ts";
import { acknowledge, agentWithMessages, connectedAgent, socketSuite } from "./socket-fixture.ts";

socketSuite();

describe("an agent with a socket", () => {
  it("the token is sent as a subprotocol, and a ping is the only heartbeat", async () => {
    const { heard, beats, coordinator } = await connectedAgent();
    expect(FakeSocket.latest.url).toBe(
      "ws://coordinator.test/v1/clusters/default/groups/default/agents/a/connect",
    );
    expect(FakeSocket.latest.protocols).toEqual(["failover.v1", "bearer.token-1"]);
    await pass(40);
    expect(FakeSocket.latest.sent).toEqual(["ping", "ping", "ping", "ping", "ping"]);
    expect(beats()).toBe(0);
    expect(heard).toEqual(["connected socket"]);
    // It has read once what was there before the socket.
    expect(coordinator.fake.made("GET", /tasks$/).map(({ query }) => query.get("status"))).toEqual([
      "assigned,running",
    ]);
  });

  it("a heartbeat is sent without a load that cannot be read, and with the nearest bound of one out of range", async () => {
    let tell = (): { cpu: number; memory: number } => ({ cpu: 1.4, memory: -1 });
    const { heard, beats } = await connectedAgent({ load: () => tell() });
    expect(FakeSocket.latest.requests("heartbeat")).toMatchObject([{ load: { cpu: 1, memory: 0 } }]);
    for (const broken of [() => ({ cpu: Number.NaN, memory: 0 }), () => JSON.parse("{")]) {
      tell = broken;
      await pass(10);
    }
    expect(heard.filter((event) => event.startsWith("error"))).toHaveLength(2);
    expect(FakeSocket.latest.sent.filter((text) => text === "ping")).toHaveLength(3);
    FakeSocket.isOpen = false;
    FakeSocket.latest.break();
    await pass(25);
    expect(beats()).toBeGreaterThan(1);
  });

  it.each(["hello", "null", '{"type":"task_assigned"}'])(
    "the frame %s closes the socket, and the agent continues over HTTP",
    async (said) => {
      const { heard, beats } = await connectedAgent();
      FakeSocket.isOpen = false;
      FakeSocket.latest.onmessage?.({ data: said });
      await pass(12);
      expect(heard.some((event) => event.startsWith("disconnected invalid frame from the server"))).toBe(
        true,
      );
      expect(beats()).toBeGreaterThan(0);
    },
  );

  it("request ids are unique over the sockets of an incarnation", async () => {
    const { heard } = await connectedAgent({ load: () => ({ cpu: 0, memory: 0 }) });
    const first = FakeSocket.latest;
    first.break();
    await pass(1);
    expect(heard.filter((event) => event === "connected socket")).toHaveLength(2);
    const ids = [first, FakeSocket.latest]
      .flatMap((socket) => socket.requests("heartbeat"))
      .map((frame) => frame.request_id);
    expect([ids.length, new Set(ids).size]).toEqual([2, 2]);
  });

  it("session_expired with the reason superseded ends the agent, after one last heartbeat", async () => {
    const { agent, running, coordinator, beats } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start", { task: task("t1") });
    await pass(0.1);
    const stopped: unknown[] = [];
    agent.listen("stopped", ({ error }) => stopped.push(error));
    FakeSocket.latest.push({ type: "session_expired", reason: "superseded", superseded_by: "host2/7/x" });
    FakeSocket.latest.break(4410, "session_expired");
    await pass(60);
    expect(running[0]?.signal.reason).toMatchObject({ reason: "superseded" });
    expect(stopped).toMatchObject([{ reason: "superseded", supersededBy: "host2/7/x" }]);
    expect([beats(), coordinator.registrations.length, FakeSocket.opened.length]).toEqual([1, 1, 1]);
    expect(coordinator.fake.made("DELETE", /./)).toEqual([]);
  });

  it("session_expired on an old socket does not end the new incarnation", async () => {
    const { agent, coordinator } = await connectedAgent();
    coordinator.fake.on("POST", /messages$/, ({ headers }) =>
      headers.get("Authorization") === "Bearer token-1"
        ? problem(410, "session_expired")
        : json({ message: {} }),
    );
    const [old] = FakeSocket.opened;
    void agent.sendMessage("b", { message_type: "note", content: 1 });
    await pass(1);
    expect(coordinator.registrations).toHaveLength(2);
    old?.push({ type: "session_expired" });
    old?.break(4410);
    await pass(30);
    expect(coordinator.registrations).toHaveLength(2);
  });

  it("a refusal on an old socket does not end the new incarnation", async () => {
    const { agent, coordinator, running } = await connectedAgent();
    coordinator.fake.on("POST", /messages$/, ({ headers }) =>
      headers.get("Authorization") === "Bearer token-1"
        ? problem(410, "session_expired")
        : json({ message: {} }),
    );
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    void agent.sendMessage("b", { message_type: "note", content: 1 });
    await pass(1);
    expect(coordinator.registrations).toHaveLength(2);
    running[0]?.end("done");
    await pass(0.1);
    const request_id = FakeSocket.latest.requests("task_complete")[0]?.request_id;
    FakeSocket.latest.push({
      type: "error",
      request_id,
      code: "session_expired",
      status: 410,
      title: "",
      detail: "",
    });
    await pass(5);
    expect(coordinator.registrations).toHaveLength(2);
    expect(coordinator.fake.made("POST", /complete$/)).toHaveLength(1);
  });

  it("the load is sent after the ping", async () => {
    await connectedAgent({ load: () => ({ cpu: 0.5, memory: 0.25 }) });
    expect(FakeSocket.latest.requests("heartbeat")).toMatchObject([{ load: { cpu: 0.5, memory: 0.25 } }]);
  });

  it("a pushed task runs, and its reports are sent over the socket", async () => {
    const { running, heard, coordinator } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    expect(running).toEqual([]);
    expect(FakeSocket.latest.requests("task_start")).toMatchObject([{ task_id: "t1", attempt: 1 }]);
    acknowledge("task_start");
    await pass(0.1);
    expect(running).toHaveLength(1);
    running[0]?.end({ output: 1 });
    await pass(0.1);
    expect(FakeSocket.latest.requests("task_complete")).toMatchObject([
      { task_id: "t1", attempt: 1, result: { output: 1 } },
    ]);
    acknowledge("task_complete", { task: { id: "t1" } });
    await pass(0.1);
    expect(heard).toEqual(["connected socket", "reported"]);
    expect(coordinator.fake.made("POST", /./)).toEqual([]);
  });

  it("a task that was assigned before the socket was open runs too", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.hold(task("t1"));
    await connectedAgent({}, coordinator);
    expect(FakeSocket.latest.requests("task_start")).toHaveLength(1);
  });

  it("a revoked task is aborted, and its result is not reported", async () => {
    const { running, heard } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    FakeSocket.latest.push({ type: "task_revoked", task_id: "t1", attempt: 1, reason: "cancelled" });
    expect(running[0]?.signal.aborted).toBe(true);
    running[0]?.fail(running[0].signal.reason);
    await pass(1);
    expect(heard).toEqual(["connected socket", "revoked cancelled"]);
    expect(FakeSocket.latest.requests("task_fail")).toEqual([]);
  });

  it("a newer attempt continues when an older one is revoked", async () => {
    const { running } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1", 2) });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    FakeSocket.latest.push({ type: "task_revoked", task_id: "t1", attempt: 1, reason: "reassigned" });
    expect(running[0]?.signal.aborted).toBe(false);
  });

  it("a refused result of an old attempt emits lateResult", async () => {
    const { running, heard } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    running[0]?.end("late");
    await pass(0.1);
    const request_id = FakeSocket.latest.requests("task_complete")[0]?.request_id;
    FakeSocket.latest.push({
      type: "error",
      request_id,
      code: "stale_attempt",
      status: 409,
      title: "",
      detail: "",
      attempt: 2,
    });
    await pass(0.1);
    expect(heard).toContain("lateResult");
  });

  it("a report that is too long for a frame is sent over HTTP", async () => {
    const { running, coordinator } = await connectedAgent();
    FakeSocket.latest.push({ type: "task_assigned", task: task("t1") });
    await pass(0.1);
    acknowledge("task_start");
    await pass(0.1);
    running[0]?.end("x".repeat(262_144));
    await pass(0.1);
    expect(FakeSocket.latest.requests("task_complete")).toEqual([]);
    expect(coordinator.fake.made("POST", /complete$/)).toHaveLength(1);
  });

  it("a pushed message is handled and acknowledged over the socket", async () => {
    const { handled, acknowledgedOverHttp } = await agentWithMessages();
    FakeSocket.latest.push({ type: "message", message: { id: "7" } });
    await pass(0.1);
    expect(handled).toEqual(["7"]);
    expect(FakeSocket.latest.requests("message_ack")).toMatchObject([{ message_id: "7" }]);
    acknowledge("message_ack");
    FakeSocket.latest.push({ type: "message", message: { id: "8" } });
    await pass(0.1);
    expect(handled).toEqual(["7", "8"]);
    acknowledge("message_ack");
    await pass(20);
    expect(acknowledgedOverHttp()).toEqual([]);
  });

  it("a message whose acknowledgement was lost is acknowledged again and handled once", async () => {
    const { handled, acknowledgedOverHttp } = await agentWithMessages();
    FakeSocket.latest.push({ type: "message", message: { id: "7" } });
    await pass(0.1);
    FakeSocket.latest.break();
    await pass(0.1);
    expect(acknowledgedOverHttp()).toEqual(["/groups/default/agents/a/messages/7/ack"]);
    await pass(2);
    FakeSocket.latest.push({ type: "message", message: { id: "7" } });
    await pass(0.1);
    expect(FakeSocket.latest.requests("message_ack")).toMatchObject([{ message_id: "7" }]);
    expect(handled).toEqual(["7"]);
  });

  it("a drain is emitted as an event", async () => {
    const { heard } = await connectedAgent();
    FakeSocket.latest.push({ type: "drain", mode: "finish", deadline_at: null });
    await pass(0);
    expect(heard).toContain("drain");
  });

  it("unknown frames are ignored", async () => {
    const { heard } = await connectedAgent();
    FakeSocket.latest.push({ type: "tomorrow" });
    await pass(0);
    expect(heard).toEqual(["connected socket"]);
  });

  it("the agent re-registers when its incarnation has ended", async () => {
    const { coordinator } = await connectedAgent();
    FakeSocket.latest.push({ type: "session_expired" });
    FakeSocket.latest.break(4410);
    await pass(5);
    expect(coordinator.registrations).toHaveLength(2);
    expect(FakeSocket.latest.protocols).toEqual(["failover.v1", "bearer.token-2"]);
  });

  it("stop() closes the socket", async () => {
    const { agent } = await connectedAgent();
    const stopping = agent.stop();
    await pass(1);
    await stopping;
    expect(FakeSocket.latest.isClosed).toBe(true);
    await pass(60);
    expect(FakeSocket.opened).toHaveLength(1);
  });
});
