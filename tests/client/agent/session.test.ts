/** The incarnations of an agent, and the time without contact. */
import { describe, expect, it } from "vitest";
import type { AgentOptions } from "../../../client/src/index.ts";
import { coordinatorWithAgents, json, noAnswer, pass, problem, task } from "../fakes.ts";
import { agentOf, agentSuite, reportsOf, worker } from "./agent-fixture.ts";

agentSuite();

describe("an incarnation that has ended", () => {
  it("the next registration lists the attempts that still run", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent, heard } = agentOf(coordinator);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"), task("t2"));
    await pass(31);
    agent.listen("registered", () => coordinator.hold({ ...task("t1"), status: "running" }, task("t2", 2)));
    coordinator.fake.inTurn(
      "POST",
      /heartbeat$/,
      () => problem(410, "session_expired"),
      () => json({}),
    );
    await pass(20);
    expect(coordinator.registrations.map(({ body }) => body.running_tasks)).toEqual([
      [],
      [
        { task_id: "t1", attempt: 1 },
        { task_id: "t2", attempt: 1 },
      ],
    ]);
    expect(heard.registered).toEqual([{ incarnation: 1 }, { incarnation: 2 }]);
    expect(running.map(({ id, signal }) => [id, signal.aborted])).toEqual([
      ["t1", false],
      ["t2", true],
    ]);
    running[0]?.end("kept");
    await pass(1);
    expect(coordinator.fake.made("POST", /complete$/)[0]?.headers.get("Authorization")).toBe(
      "Bearer token-2",
    );
  });

  it("an agent registers more and more slowly when its incarnations keep ending", async () => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 1, timeoutSeconds: 3 });
    coordinator.fake.on("POST", /heartbeat$/, () => problem(410, "session_expired"));
    const { agent } = agentOf(coordinator);
    await agent.start();
    await pass(60);
    expect(coordinator.registrations.length).toBeLessThan(12);
  });
});

describe("an agent without contact for its timeout", () => {
  const outage = async (options: Partial<AgentOptions>) => {
    const coordinator = coordinatorWithAgents({ intervalSeconds: 10, timeoutSeconds: 30 });
    const { agent, heard } = agentOf(coordinator, options);
    const running = worker(agent);
    await agent.start();
    coordinator.hold(task("t1"));
    await pass(5);
    coordinator.fake.on("POST", /heartbeat$/, noAnswer).on("GET", /tasks$/, noAnswer);
    await pass(40);
    return { coordinator, agent, heard, running };
  };

  it("handlers continue, and outOfTouch is emitted", async () => {
    const { heard, running } = await outage({});
    expect(running[0]?.signal.aborted).toBe(false);
    expect(heard.outOfTouch).toHaveLength(1);
    expect(heard.disconnected?.length).toBeGreaterThan(0);
  });

  it("with abortWhenOutOfTouch, handlers are aborted and the next registration does not list them", async () => {
    const { coordinator, running } = await outage({ abortWhenOutOfTouch: true });
    expect(running[0]?.signal.reason).toMatchObject({ reason: "out_of_touch" });
    running[0]?.fail(running[0].signal.reason);
    coordinator.fake
      .on("POST", /heartbeat$/, () => json({}))
      .on("GET", /tasks$/, () => json({ items: [], next_cursor: null }));
    await pass(30);
    expect(reportsOf(coordinator, "fail")).toEqual([]);
    expect(coordinator.registrations.map(({ body }) => body.running_tasks)).toEqual([[], []]);
  });
});
