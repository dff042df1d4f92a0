import { describe, expect, it } from "vitest";
import type { OutboxMessage } from "../../../../../src/protocol/messages.ts";
import { settled } from "../../../../support/fake-host.ts";
import { GroupParts } from "../../../../support/group-parts.ts";

/** The messages that the coordinator got, in order. */
async function messagesOf({ host }: GroupParts): Promise<OutboxMessage[]> {
  await settled();
  return host.batches.flatMap(({ batch }) => batch.messages.map(({ message }) => message));
}

const FAILED = {
  ending: "failed",
  failureType: "heartbeat_timeout",
  message: "silent",
  details: {},
} as const;

function sessionOf(parts: GroupParts, agentId: string) {
  const session = parts.context.sessions.find(agentId);
  if (session === undefined) throw new Error(`${agentId} is not live`);
  return session;
}

describe("a session", () => {
  it("begins once for an incarnation, and not for an earlier one", () => {
    const parts = new GroupParts();
    parts.register("a", 2);
    parts.register("a", 2);
    parts.register("a", 1);
    expect(sessionOf(parts, "a").incarnation).toBe(2);
  });

  it("takes signs of life of its own incarnation alone", () => {
    const parts = new GroupParts();
    parts.register("a", 2);
    parts.host.pass(500);
    expect(parts.lifecycle.recordSign("a", 1)).toBeNull();
    expect(parts.lifecycle.recordSign("b", 1)).toBeNull();
    expect(parts.lifecycle.recordSign("a", 2)?.life.lastSignMs).toBe(parts.host.nowMs);
  });

  it("is suspect when its socket breaks, until a sign of life", async () => {
    const parts = new GroupParts();
    parts.register("a");
    parts.lifecycle.connect("a", 1);
    parts.unit.commit((nowMs) => parts.lifecycle.suspect(sessionOf(parts, "a"), nowMs));
    const untilMs = parts.host.nowMs + 5000;
    expect(sessionOf(parts, "a")).toMatchObject({ connection: null, suspectUntilMs: untilMs });
    parts.lifecycle.recordSign("a", 1);
    expect(sessionOf(parts, "a").suspectUntilMs).toBeNull();
    expect(await messagesOf(parts)).toEqual([
      { type: "agent_suspect", agentId: "a", incarnation: 1, untilMs },
      { type: "agent_cleared", agentId: "a", incarnation: 1 },
    ]);
  });

  it("has one connection: a newer one closes the one before", () => {
    const parts = new GroupParts();
    parts.register("a");
    const first = parts.lifecycle.connect("a", 1);
    const second = parts.lifecycle.connect("a", 1);
    if (!first.ok || !second.ok) throw new Error("the incarnation is live");
    expect(second.value.number).toBeGreaterThan(first.value.number);
    expect(parts.host.closed).toEqual([{ connection: first.value.number, reason: "replaced" }]);
    expect(parts.lifecycle.connect("a", 9)).toMatchObject({ ok: false });
  });

  it("ends with its locks, its socket and one message to the coordinator", async () => {
    const parts = new GroupParts();
    parts.register("a");
    parts.register("b");
    parts.lifecycle.connect("a", 1);
    const grant = { resource: "disk", holder: "a", incarnation: 1, ttlMs: 10_000 };
    parts.unit.commit((nowMs) => parts.context.locks.grant(grant, nowMs));
    const wait = {
      resource: "disk",
      agentId: "b",
      incarnation: 1,
      ttlMs: 1000,
      waitMs: 9000,
      requestId: null,
    };
    parts.unit.commit((nowMs) => parts.granter.enqueue(wait, nowMs));
    const end = parts.unit.commit((nowMs) => parts.lifecycle.end(sessionOf(parts, "a"), FAILED, nowMs));
    expect(parts.context.sessions.find("a")).toBeUndefined();
    expect(parts.context.locks.find("disk")?.holder).toBe("b");
    expect(parts.host.closed).toMatchObject([{ reason: "session_expired" }]);
    expect(parts.host.woken).toEqual(expect.arrayContaining(["agent/a", "messages/a", "locks/b"]));
    expect(await messagesOf(parts)).toMatchObject([
      { type: "agent_ended", agentId: "a", failureId: end.failureId, locksReleased: ["disk"] },
    ]);
  });

  it("keeps its locks until their TTL when it fails while failover is off", async () => {
    const parts = new GroupParts();
    parts.register("a");
    const { settings } = parts.context;
    parts.unit.commit((nowMs) => {
      parts.context.configure({ ...settings, failoverEnabled: false });
      parts.context.locks.grant({ resource: "disk", holder: "a", incarnation: 1, ttlMs: 10_000 }, nowMs);
    });
    parts.unit.commit((nowMs) => parts.lifecycle.end(sessionOf(parts, "a"), FAILED, nowMs));
    expect(parts.context.locks.find("disk")?.holder).toBe("a");
    expect(await messagesOf(parts)).toMatchObject([{ type: "agent_ended", locksReleased: [] }]);
  });
});
