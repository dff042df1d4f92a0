/** The event log of a cluster: the time of each event, and the order in which the coordinator learned of them. */
import { describe, expect, it } from "vitest";
import type { EventDraft } from "../../src/contract/event.ts";
import { instant } from "../../src/contract/instant.ts";
import { ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const event = (type: string, subject: string): EventDraft => ({ type, subject, data: {} });

function eventsOf(cluster: ScriptedCluster) {
  return cluster.cluster.coordinator.serve((service) => service.queries.events(0, 1000));
}

describe("an event that another object reports late", () => {
  it("has the time at which it happened and the position at which it arrived", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    const happenedAtMs = cluster.world.nowMs;
    await cluster.pass(60_000);
    await cluster.submit({ id: "t" });
    cluster.deliverToCoordinator({
      type: "events_recorded",
      atMs: happenedAtMs,
      events: [event("lock.expired", "l1"), event("lock.expired", "l2")],
    });
    const events = eventsOf(cluster);
    const [first, second] = events.slice(-2);
    expect(first).toMatchObject({ subject: "l1", at: instant(happenedAtMs) });
    expect(second).toMatchObject({ subject: "l2", at: instant(happenedAtMs) });
    const ids = events.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort((one, other) => one - other));
    expect(events.at(-3)?.subject).toBe("t");
  });

  it("for a released lock has the time at which the lock's holder was declared failed", async () => {
    const cluster = new ScriptedCluster();
    await cluster.register("a");
    const declaredAtMs = cluster.world.nowMs;
    await cluster.pass(60_000);
    cluster.deliverToCoordinator({
      type: "agent_ended",
      agentId: "a",
      incarnation: cluster.incarnationOf("a"),
      group: "default",
      ending: "failed",
      failureId: "f",
      failureType: "heartbeat_timeout",
      message: "no heartbeat",
      details: {},
      lastSignMs: declaredAtMs - 3000,
      declaredAtMs,
      locksReleased: ["printer"],
    });
    const released = eventsOf(cluster).find(({ type }) => type === "lock.released");
    expect(released).toMatchObject({ subject: "printer", at: instant(declaredAtMs) });
  });
});
