/** Drains, and what they do to an agent's status. */
import { describe, expect, it } from "vitest";
import { type Drain, drainAfter, extendedDrain, withDrain } from "../../../src/domain/agent.ts";
import { agentRecord } from "../../support/records.ts";

const drain = (overrides: Partial<Drain> = {}): Drain => ({
  mode: "finish",
  by: "operator",
  deadlineMs: null,
  isOver: false,
  extensions: 0,
  ...overrides,
});

describe("a drain", () => {
  it("sets the status of an agent that is active or draining, and of no other", () => {
    expect(withDrain(agentRecord(), drain()).status).toBe("draining");
    expect(withDrain(agentRecord({ status: "draining" }), null).status).toBe("active");
    expect(withDrain(agentRecord({ status: "suspect" }), drain()).status).toBe("suspect");
    expect(withDrain(agentRecord({ status: "inactive" }), null).status).toBe("inactive");
  });

  it("of an operator can be brought forward by the agent, and not put off", () => {
    const own = (deadlineMs: number | null) => drain({ by: "agent", mode: "move", deadlineMs });
    expect(drainAfter(drain({ deadlineMs: 50 }), own(20))).toMatchObject({ by: "operator", deadlineMs: 20 });
    expect(drainAfter(drain({ deadlineMs: 50 }), own(90))).toMatchObject({ by: "operator", deadlineMs: 50 });
    expect(drainAfter(drain({ deadlineMs: 50 }), own(null))).toMatchObject({ deadlineMs: 50 });
    expect(drainAfter(drain(), own(null))).toMatchObject({ deadlineMs: null });
    expect(drainAfter(own(20), own(90))).toEqual(own(90));
  });

  it("has its deadline extended by one heartbeat timeout after an outage, at most twice", () => {
    let agent = agentRecord({ heartbeatTimeoutMs: 30, drain: drain({ deadlineMs: 10 }) });
    const deadlines = [100, 200, 300].map((nowMs) => {
      agent = extendedDrain(agent, nowMs);
      return agent.drain?.deadlineMs;
    });
    expect(deadlines).toEqual([130, 230, 230]);
    const later = agentRecord({ heartbeatTimeoutMs: 30, drain: drain({ deadlineMs: 1000 }) });
    expect(extendedDrain(later, 100)).toBe(later);
  });
});
