/** Messages of groups and of the notifier to the coordinator. */
import { describe, expect, it } from "vitest";
import type { AgentRecord } from "../../../../src/domain/agent.ts";
import { MessageHandler } from "../../../../src/services/coordinator/message-handler.ts";
import { agentRecord } from "../../../support/records.ts";

function newHandler(agents: AgentRecord[] = [], groups: string[] = []) {
  const calls: unknown[] = [];
  const record = (name: string) => (first: unknown) => calls.push([name, first]);
  const context = {
    agents: {
      find: (id: string) => agents.find((agent) => agent.id === id),
      save: record("save"),
      markSilent: (id: string) => calls.push(["markSilent", id]),
      groups: () => groups,
    },
    outbox: { send: (to: string, message: { type: string }) => calls.push(["send", to, message.type]) },
    recordEvent: (_: unknown, atMs: number) => calls.push(["event", atMs]),
  };
  const parts = {
    failover: { agentEnded: record("agentEnded") },
    suspects: { suspected: record("suspected"), cleared: record("cleared") },
    restarts: { replacedAgentAlive: record("replacedAgentAlive") },
  };
  const handler = new MessageHandler(
    context as unknown as ConstructorParameters<typeof MessageHandler>[0],
    parts,
  );
  return { calls, handler };
}

describe("a message to the coordinator", () => {
  it("saves a load for the live incarnation, and for no other", () => {
    const agent = agentRecord({ incarnation: 2 });
    const { calls, handler } = newHandler([agent]);
    const load = { cpu: 0.5, memory: 0.5 };
    handler.apply({ type: "load_reported", agentId: "a", incarnation: 1, load }, 0);
    handler.apply({ type: "load_reported", agentId: "unknown", incarnation: 2, load }, 0);
    handler.apply({ type: "load_reported", agentId: "a", incarnation: 2, load }, 0);
    expect(calls).toEqual([["save", { ...agent, load }]]);
  });

  it("records events at the time at which they happened", () => {
    const { calls, handler } = newHandler();
    const events = [{ type: "lock.expired", subject: "l", data: {} }];
    handler.apply({ type: "events_recorded", atMs: 5, events }, 900);
    expect(calls).toEqual([["event", 5]]);
  });

  it("passes a broadcast on to the named groups, or to all", () => {
    const { calls, handler } = newHandler([], ["east", "west"]);
    const message = {
      type: "broadcast_requested",
      from: "op",
      messageType: "m",
      content: null,
      atMs: 0,
    } as const;
    handler.apply({ ...message, groups: ["west", "unknown"] }, 0);
    handler.apply({ ...message, groups: null }, 0);
    expect(calls).toEqual([
      ["send", "group/west", "broadcast"],
      ["send", "group/east", "broadcast"],
      ["send", "group/west", "broadcast"],
    ]);
  });

  it("is refused permanently if it is for another kind of object", () => {
    const { calls, handler } = newHandler();
    expect(handler.apply({ type: "forget_agent", agentId: "a" }, 0)).toContain("forget_agent");
    expect(calls).toEqual([]);
  });
});
