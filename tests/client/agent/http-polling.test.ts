/** An agent over HTTP: its heartbeats, its poll for tasks, and an outage. */
import { describe, expect, it } from "vitest";
import { coordinatorWithAgents, json, noAnswer, pass, silence, task } from "../fakes.ts";
import { agentOf, agentSuite, worker } from "./agent-fixture.ts";

agentSuite();

const emptyList = () => json({ items: [], next_cursor: null });

describe("the task poll of an agent over HTTP", () => {
  it("is sent again as soon as another call succeeds after an outage", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    let isDown = true;
    coordinator.fake
      .on("POST", /heartbeat$/, () => (isDown ? noAnswer() : json({})))
      .on("GET", /tasks$/, () => (isDown ? noAnswer() : json({ items: [task("t1")], next_cursor: null })));
    await agent.start();
    await pass(25);
    const polls = coordinator.fake.made("GET", /tasks$/).length;
    isDown = false;
    const { calls } = coordinator.fake;
    const before = calls.length;
    while (calls.length === before) await pass(0.05);
    // The first call that is answered: whichever that is, the task starts soon after.
    await pass(0.5);
    expect(running.map(({ id }) => id)).toEqual(["t1"]);
    // It asked seldom enough while the coordinator was down.
    expect(polls).toBeLessThan(12);
  });

  it("is sent again when it was lost: a heartbeat reports a task that the poll would have returned", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent } = agentOf(coordinator);
    const running = worker(agent);
    coordinator.fake.inTurn("GET", /tasks$/, silence, () => json({ items: [task("t1")], next_cursor: null }));
    await agent.start();
    await pass(9.9);
    coordinator.fake.on("POST", /heartbeat$/, () => json({ assigned_tasks: 1 }));
    expect(running).toEqual([]);
    await pass(0.5);
    expect(running.map(({ id }) => id)).toEqual(["t1"]);
  });

  it("stays open while heartbeats report no task", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    coordinator.fake.on("POST", /heartbeat$/, () => json({ assigned_tasks: 0 }));
    coordinator.fake.inTurn("GET", /tasks$/, silence);
    const { agent, heard } = agentOf(coordinator);
    worker(agent);
    await agent.start();
    await pass(19);
    expect(coordinator.fake.made("GET", /tasks$/)).toHaveLength(1);
    expect(heard.error).toBeUndefined();
  });

  it("a call that fails for ever while heartbeats succeed is not repeated without pause", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 0.1, timeoutSeconds: 1 });
    coordinator.fake.on("GET", /tasks$/, noAnswer);
    const { agent } = agentOf(coordinator);
    worker(agent);
    await agent.start();
    await pass(10);
    expect(coordinator.fake.made("GET", /tasks$/).length).toBeLessThanOrEqual(51);
  });
});

describe("the heartbeats of an agent over HTTP", () => {
  it("are sent at each interval although the one before was not answered", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 60 });
    coordinator.fake.on("POST", /heartbeat$/, silence).on("GET", /tasks$/, emptyList);
    const { agent } = agentOf(coordinator);
    await agent.start();
    await pass(9.9);
    expect(coordinator.fake.made("POST", /heartbeat$/)).toHaveLength(1);
    await pass(10);
    expect(coordinator.fake.made("POST", /heartbeat$/)).toHaveLength(2);
  });

  it("are repeated within the interval when there is no answer, and more and more slowly", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    coordinator.fake.on("POST", /heartbeat$/, noAnswer).on("GET", /tasks$/, silence);
    const { agent } = agentOf(coordinator);
    await agent.start();
    await pass(9.9);
    const first = coordinator.fake.made("POST", /heartbeat$/).length;
    expect(first).toBeGreaterThan(3);
    await pass(300);
    const later = coordinator.fake.made("POST", /heartbeat$/).length;
    await pass(100);
    expect(coordinator.fake.made("POST", /heartbeat$/).length - later).toBeLessThanOrEqual(21);
  });
});
