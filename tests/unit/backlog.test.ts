/** What shows that an agent reads what it is told, and what waits when it does not. */
import { describe, expect, it } from "vitest";
import type { AgentFrame, ServerFrame } from "../../src/contract/socket.ts";
import { Backlog } from "../../src/services/agent-group/backlog.ts";

const ROOM = 1024 * 1024;
const LIMIT = 16 * ROOM;

const assigned = (id: string, attempt = 1) =>
  ({ type: "task_assigned", task: { id, attempt } }) as unknown as ServerFrame;
const revoked = (id: string, attempt = 1): ServerFrame => ({
  type: "task_revoked",
  task_id: id,
  attempt,
  reason: "cancelled",
});
const message = (id: string) => ({ type: "message", message: { id } }) as unknown as ServerFrame;
const granted = (resource: string, fencing_token: number) =>
  ({ type: "lock_granted", request_id: "1", lock: { resource, fencing_token } }) as unknown as ServerFrame;
const ack: ServerFrame = { type: "ack", request_id: "1" };

const start = (task_id: string, attempt = 1): AgentFrame => ({
  type: "task_start",
  request_id: "1",
  task_id,
  attempt,
});
const acknowledge = (message_id: string): AgentFrame => ({
  type: "message_ack",
  request_id: "1",
  message_id,
});

function backlogOf(...told: [ServerFrame, number][]): Backlog {
  const backlog = new Backlog();
  for (const [frame, characters] of told) backlog.said(frame, characters);
  return backlog;
}

describe("a backlog", () => {
  it("has room until more than a mebibyte is unread", () => {
    const backlog = backlogOf([assigned("one"), ROOM]);
    expect(backlog.hasRoomFor("task")).toBe(true);
    backlog.said(ack, 1);
    expect(backlog.hasRoomFor("task")).toBe(false);
    expect(backlog.isStuck).toBe(false);
  });

  it.each<{ by: string; told: ServerFrame; frame: AgentFrame }>([
    { by: "a report on the attempt", told: assigned("one", 2), frame: start("one", 2) },
    { by: "an acknowledgement", told: message("7"), frame: acknowledge("7") },
    {
      by: "the fencing token",
      told: granted("disk", 3),
      frame: { type: "lock_release", request_id: "2", resource: "disk", fencing_token: 3 },
    },
  ])("is read as far as $by shows, and no further", ({ told, frame }) => {
    const backlog = backlogOf([ack, LIMIT], [told, 1], [ack, LIMIT]);
    expect(backlog.isStuck).toBe(true);
    expect(backlog.heard(frame)).toBe(true);
    expect(backlog.isStuck).toBe(false);
    backlog.said(ack, 1);
    expect(backlog.isStuck).toBe(true);
    // It proves nothing twice.
    expect(backlog.heard(frame)).toBe(false);
    expect(backlog.isStuck).toBe(true);
  });

  it("is not shortened by what an agent can say without reading", () => {
    const backlog = backlogOf([assigned("one"), LIMIT + 1]);
    for (const frame of [
      start("another"),
      start("one", 2),
      acknowledge("one"),
      { type: "heartbeat", request_id: "1" } as const,
      { type: "lock_acquire", request_id: "1", resource: "one" } as const,
    ]) {
      expect(backlog.heard(frame)).toBe(false);
    }
    expect(backlog.isStuck).toBe(true);
  });

  it("lets one through of a kind of which nothing is on its way, for nothing else would ever show that it was read", () => {
    const backlog = backlogOf([ack, 2 * ROOM], [message("1"), 1]);
    expect(backlog.hasRoomFor("message")).toBe(false);
    expect(backlog.hasRoomFor("task")).toBe(true);
    backlog.said(assigned("one"), 1);
    expect(backlog.hasRoomFor("task")).toBe(false);
    backlog.said(revoked("one"), 1);
    expect(backlog.hasRoomFor("task")).toBe(true);
  });

  it("watches for the newest of very many", () => {
    const backlog = new Backlog();
    for (let index = 0; index < 5000; index++) backlog.said(message(`${index}`), 10_000);
    expect(backlog.heard(acknowledge("0"))).toBe(false);
    expect(backlog.heard(acknowledge("4999"))).toBe(true);
    expect(backlog.hasRoomFor("message")).toBe(true);
  });
});
