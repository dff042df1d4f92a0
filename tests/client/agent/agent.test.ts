/** How an agent starts and stops. */
import { describe, expect, it, vi } from "vitest";
import { TaskRevokedError } from "../../../client/src/index.ts";
import { coordinatorWithAgents, json, noAnswer, pass, problem, silence, task } from "../fakes.ts";
import { agentOf, agentSuite, reportsOf, worker } from "./agent-fixture.ts";

agentSuite();

describe("starting an agent", () => {
  it("an agent registers the task types of its handlers and sends a heartbeat at each interval", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10 });
    const { agent } = agentOf(coordinator, { labels: { zone: "a" } });
    worker(agent);
    agent.on("other", () => null);
    await agent.start();
    expect(coordinator.registrations.map(({ body }) => body)).toEqual([
      {
        type: "worker",
        capabilities: ["work", "other"],
        labels: { zone: "a" },
        running_tasks: [],
        instance: expect.any(String),
      },
    ]);
    await pass(30.5);
    const beats = coordinator.fake.made("POST", /heartbeat$/);
    expect(beats).toHaveLength(4);
    expect(new Set(beats.map(({ headers }) => headers.get("Authorization")))).toEqual(
      new Set(["Bearer token-1"]),
    );
  });

  it("start() warns on a platform without WebSocket how long the coordinator needs to notice a crash", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const warned = vi.spyOn(console, "warn").mockReturnValue();
    const { agent, heard } = agentOf(coordinatorWithAgents(), { transport: undefined });
    await agent.start();
    await pass(30);
    expect(warned.mock.calls).toEqual([
      ["no WebSocket on this platform: a crash is noticed within 40 s, not within about 5 s"],
    ]);
    expect(heard.connected).toEqual([{ transport: "http" }]);
    await agentOf(coordinatorWithAgents(), { transport: "http" }).agent.start();
    expect(warned).toHaveBeenCalledTimes(1);
  });

  it("start() retries until the coordinator is reachable", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent, heard } = agentOf(coordinator);
    const registered = {
      incarnation: 7,
      token: "t",
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 30,
    };
    coordinator.fake.inTurn("PUT", /agents/, noAnswer, noAnswer, () => json(registered));
    const starting = agent.start();
    await pass(5);
    await starting;
    expect(agent.incarnation).toBe(7);
    expect(heard.disconnected).toHaveLength(2);
  });

  it("start() rejects when the registration is refused", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /agents/, () =>
      problem(409, "agent_live", { deadline_at: "2030-01-01T00:00:00.000Z" }),
    );
    const { agent } = agentOf(coordinator);
    await expect(agent.start()).rejects.toMatchObject({ code: "agent_live" });
  });
});

describe("stopping an agent", () => {
  it("stop() drains, sends heartbeats while tasks finish, and unregisters", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(0.5);
    const stopping = agent.stop({ graceSeconds: 30 });
    const before = coordinator.fake.made("POST", /heartbeat$/).length;
    await pass(5);
    expect(coordinator.fake.made("POST", /drain$/).map(({ body }) => body)).toEqual([{ mode: "finish" }]);
    expect(coordinator.fake.made("POST", /heartbeat$/).length).toBeGreaterThan(before + 3);
    expect(coordinator.fake.made("DELETE", /./)).toEqual([]);
    running[0]?.end("last");
    await pass(1);
    await stopping;
    expect(reportsOf(coordinator, "complete")).toHaveLength(1);
    expect(coordinator.fake.made("DELETE", /./).map(({ path }) => path)).toEqual([
      "/groups/default/agents/a",
    ]);
    const calls = coordinator.fake.calls.length;
    await pass(60);
    expect(coordinator.fake.calls).toHaveLength(calls);
  });

  it("stop() takes no new tasks and aborts those that run after graceSeconds", async () => {
    const coordinator = coordinatorWithAgents();
    const { agent } = agentOf(coordinator, { maxConcurrentTasks: 1 });
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"));
    await pass(0.5);
    const stopping = agent.stop({ graceSeconds: 2 });
    coordinator.hold({ ...task("t1"), status: "running" }, task("t2"), task("t3"));
    await pass(1);
    expect(running[0]?.signal.aborted).toBe(false);
    await pass(3);
    await stopping;
    expect(running.map(({ id, signal }) => [id, signal.aborted])).toEqual([["t1", true]]);
    expect(running[0]?.signal.reason).toMatchObject({ reason: "stopping" });
    expect(reportsOf(coordinator, "fail")).toEqual([]);
  });

  it("stop() unregisters although the drain is refused or not answered", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("POST", /drain$/, () => problem(404, "not_found")).on("DELETE", /./, noAnswer);
    const { agent } = agentOf(coordinator);
    worker(agent);
    await agent.start();
    const stopping = agent.stop();
    await pass(10);
    await stopping;
    expect(coordinator.fake.made("DELETE", /./)).toHaveLength(3);
  });

  it("stop() registers no new incarnation when a call reports the end of the old one", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    const left = Promise.withResolvers<Response>();
    coordinator.fake
      .on("DELETE", /./, () => left.promise)
      .on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(3);
    left.resolve(json(undefined));
    await stopping;
    await pass(60);
    expect(coordinator.fake.made("DELETE", /./)).toHaveLength(1);
    expect(coordinator.registrations).toHaveLength(1);
  });

  it("stop() unregisters the incarnation whose registration was under way", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    coordinator.fake.inTurn(
      "POST",
      /heartbeat$/,
      () => problem(410, "session_expired"),
      () => json({}),
    );
    await pass(1);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(2);
    await stopping;
    const left = coordinator.fake.made("DELETE", /./).map(({ headers }) => headers.get("Authorization"));
    expect(left).toEqual(["Bearer token-2"]);
  });

  it("stop() resolves although the incarnation has ended and the coordinator is unreachable", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { agent } = agentOf(coordinator);
    await agent.start();
    coordinator.fake
      .on("POST", /heartbeat$/, () => problem(410, "session_expired"))
      .on("PUT", /./, noAnswer)
      .on("DELETE", /./, noAnswer);
    await pass(2);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(60);
    const calls = coordinator.fake.calls.length;
    await stopping;
    await pass(60);
    expect(coordinator.fake.calls).toHaveLength(calls);
  });

  it("stop() resolves at once while start() has reached no coordinator", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /./, noAnswer);
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(1);
    await agent.stop();
    expect(await starting).toBeInstanceOf(TaskRevokedError);
  });

  it("stop() unregisters as soon as the first registration is answered", async () => {
    const coordinator = coordinatorWithAgents();
    const { fake } = coordinator;
    const answer = Promise.withResolvers<void>();
    const registered = {
      incarnation: 1,
      token: "token-1",
      heartbeat_interval_seconds: 10,
      heartbeat_timeout_seconds: 30,
    };
    fake.on("PUT", /agents/, async () => {
      await answer.promise;
      return json(registered);
    });
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(0);
    const stopping = agent.stop({ graceSeconds: 1 });
    await pass(4);
    expect(fake.made("DELETE", /./)).toEqual([]);
    answer.resolve();
    await pass(1);
    await stopping;
    await starting;
    const left = fake.made("DELETE", /./).map(({ path, headers }) => [path, headers.get("Authorization")]);
    expect(left).toEqual([["/groups/default/agents/a", "Bearer token-1"]]);
    const calls = fake.calls.length;
    await pass(60);
    expect(fake.calls).toHaveLength(calls);
  });

  it("stop() waits only some seconds for a registration that is not answered", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("PUT", /agents/, silence);
    const { agent } = agentOf(coordinator);
    const starting = agent.start().catch((error: unknown) => error);
    await pass(1);
    const stopping = agent.stop();
    await pass(5);
    await stopping;
    expect(await starting).toBeInstanceOf(TaskRevokedError);
    expect(coordinator.fake.calls).toHaveLength(1);
  });

  it("stop() unregisters again when another incarnation was registered meanwhile", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    const { fake } = coordinator;
    const { agent } = agentOf(coordinator);
    await agent.start();
    const [registration, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    fake.on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    fake.on("PUT", /agents/, async () => {
      await registration.promise;
      return json({
        incarnation: 2,
        token: "token-2",
        heartbeat_interval_seconds: 1,
        heartbeat_timeout_seconds: 3,
      });
    });
    fake.inTurn(
      "DELETE",
      /agents/,
      async () => {
        await left.promise;
        return problem(410, "session_expired");
      },
      () => json(undefined),
    );
    await pass(2);
    const stopping = agent.stop({ graceSeconds: 0 });
    await pass(7);
    expect(fake.made("DELETE", /./)).toHaveLength(1);
    registration.resolve();
    await pass(0);
    left.resolve();
    await pass(1);
    await stopping;
    const tokens = fake.made("DELETE", /./).map(({ headers }) => headers.get("Authorization"));
    expect(tokens).toEqual(["Bearer token-1", "Bearer token-2"]);
  });
});
