/** The messages of an agent, over HTTP. */
import { describe, expect, it } from "vitest";
import { coordinatorWithAgents, json, pass } from "../fakes.ts";
import { agentOf, agentSuite } from "./agent-fixture.ts";

agentSuite();

describe("messages", () => {
  it("polls for messages are limited in rate when each is answered at once", async () => {
    const coordinator = coordinatorWithAgents();
    coordinator.fake.on("GET", /messages$/, () => {
      if (coordinator.fake.calls.length > 1000) throw new Error("a storm");
      return json({ items: [], next_cursor: null });
    });
    const { agent } = agentOf(coordinator);
    agent.onMessage(() => {});
    await agent.start();
    await pass(1);
    expect(coordinator.fake.made("GET", /messages$/).length).toBeLessThanOrEqual(51);
  });

  const message = (id: string) => ({ id, from: "operator", message_type: "m", content: id, sent_at: "" });

  it("a message is acknowledged when its handler resolves, and handled again after an exception", async () => {
    const coordinator = coordinatorWithAgents();
    let unread = [message("1"), message("2")];
    coordinator.fake.on("GET", /messages$/, async () => {
      while (unread.length === 0) await new Promise((resolve) => setTimeout(resolve, 1000));
      return json({ items: unread, next_cursor: null });
    });
    coordinator.fake.on("POST", /\/ack$/, ({ path }) => {
      unread = unread.filter(({ id }) => id !== path.split("/")[6]);
      return json(undefined);
    });
    const { agent, heard } = agentOf(coordinator);
    const handled: string[] = [];
    agent.onMessage(({ id }) => {
      handled.push(id);
      if (handled.length === 1) throw new Error("not yet");
    });
    await agent.start();
    await pass(1);
    expect(handled).toEqual(["1", "2"]);
    expect(unread.map(({ id }) => id)).toEqual(["1"]);
    expect(heard.error).toHaveLength(1);
    await pass(6);
    expect(handled).toEqual(["1", "2", "1"]);
    expect(unread).toEqual([]);
  });
});
