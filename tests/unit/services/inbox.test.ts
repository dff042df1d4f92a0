import { describe, expect, it } from "vitest";
import type { MessageBatch } from "../../../src/protocol/message-batch.ts";
import { Inbox } from "../../../src/services/inbox.ts";
import { UnitOfWork } from "../../../src/services/unit-of-work.ts";
import { INBOX_SCHEMA } from "../../../src/storage/inbox.ts";
import { FakeHost } from "../../support/fake-host.ts";

/** An object that applies messages by storing which agents they name. */
class Receiver {
  readonly host: FakeHost;
  readonly unit: UnitOfWork;
  readonly inbox: Inbox;

  constructor(host = new FakeHost()) {
    this.host = host;
    this.unit = new UnitOfWork(host, {
      migrations: [[...INBOX_SCHEMA, "CREATE TABLE applied (agent TEXT NOT NULL)"]],
      load: () => {},
      nextWorkMs: () => null,
    });
    this.inbox = new Inbox(host, this.unit, (message) => {
      if (message.type !== "forget_agent") return `no such message as "${message.type}"`;
      host.sql.all("INSERT INTO applied VALUES (?)", message.agentId);
      if (message.agentId === "broken") throw new Error("a bug");
      return null;
    });
  }

  applied(): string[] {
    return this.host.sql.all<{ agent: string }>("SELECT agent FROM applied").map(({ agent }) => agent);
  }
}

function batch(numbers: Record<number, string>, stream = "stream"): MessageBatch {
  const messages = Object.entries(numbers).map(([number, agentId]) => ({
    number: Number(number),
    message: { type: "forget_agent" as const, agentId },
  }));
  return { stream, messages };
}

describe("an inbox", () => {
  it("applies each message once, though a batch comes again with more", () => {
    const receiver = new Receiver();
    expect(receiver.inbox.receive(batch({ 1: "a", 2: "b" }))).toEqual({ through: 2, refused: [] });
    expect(receiver.inbox.receive(batch({ 1: "a", 2: "b", 5: "c" }))).toEqual({ through: 5, refused: [] });
    expect(receiver.applied()).toEqual(["a", "b", "c"]);
  });

  it("remembers after a restart what it applied", () => {
    const receiver = new Receiver();
    receiver.inbox.receive(batch({ 1: "a" }));
    const restarted = new Receiver(receiver.host);
    expect(restarted.inbox.receive(batch({ 1: "a" }))).toEqual({ through: 1, refused: [] });
    expect(restarted.applied()).toEqual(["a"]);
  });

  it("counts each stream for itself", () => {
    const receiver = new Receiver();
    receiver.inbox.receive(batch({ 7: "a" }, "one"));
    expect(receiver.inbox.receive(batch({ 1: "b" }, "other"))).toEqual({ through: 1, refused: [] });
    expect(receiver.applied()).toEqual(["a", "b"]);
  });

  it("refuses a message that it does not know, for ever, and applies what follows", () => {
    const receiver = new Receiver();
    const { messages } = batch({ 2: "b" });
    const unknown = { number: 1, message: { type: "task_settled" as const, taskId: "t", atMs: 0 } };
    expect(receiver.inbox.receive({ stream: "stream", messages: [unknown, ...messages] })).toEqual({
      through: 2,
      refused: [{ number: 1, reason: 'no such message as "task_settled"' }],
    });
    expect(receiver.applied()).toEqual(["b"]);
  });

  it("refuses a message that fails by a bug, keeps nothing of it, and applies what follows", () => {
    const receiver = new Receiver();
    const receipt = receiver.inbox.receive(batch({ 1: "a", 2: "broken", 3: "c" }));
    expect(receipt).toMatchObject({ through: 3, refused: [{ number: 2 }] });
    expect(receiver.applied()).toEqual(["a", "c"]);
    expect(receiver.host.logged).toEqual(["message_failed"]);
  });
});
