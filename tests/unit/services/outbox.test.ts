import { describe, expect, it } from "vitest";
import type { OutboxMessage } from "../../../src/protocol/messages.ts";
import { type DeadLetter, Outbox } from "../../../src/services/outbox.ts";
import { UnitOfWork } from "../../../src/services/unit-of-work.ts";
import { COUNTER_SCHEMA } from "../../../src/storage/counter.ts";
import { META_SCHEMA, MetaStore } from "../../../src/storage/meta.ts";
import { OUTBOX_SCHEMA } from "../../../src/storage/outbox.ts";
import { FakeHost, settled } from "../../support/fake-host.ts";

const message = (agentId: string): OutboxMessage => ({ type: "forget_agent", agentId });
const unreachable = () => Promise.reject(new Error("no answer"));

/** An object that has an outbox and nothing else. */
class Sender {
  readonly host: FakeHost;
  readonly deadLetters: DeadLetter[] = [];
  readonly unit: UnitOfWork;
  readonly outbox: Outbox;

  constructor(host = new FakeHost()) {
    this.host = host;
    const meta = new MetaStore(host.sql);
    this.unit = new UnitOfWork(host, {
      migrations: [[...META_SCHEMA, ...COUNTER_SCHEMA, ...OUTBOX_SCHEMA]],
      load: () => {
        if (meta.read("stream_id") === null) meta.write("stream_id", host.randomId());
        this.outbox.load();
      },
      nextWorkMs: () => this.outbox.nextWorkMs(),
    });
    this.outbox = new Outbox({ host, unit: this.unit, meta }, (deadLetter) => {
      this.deadLetters.push(deadLetter);
    });
  }

  send(...agentIds: string[]): number {
    return this.unit.commit(() =>
      agentIds.map((agentId) => this.outbox.send("group/g", message(agentId))).reduce((_, last) => last),
    );
  }

  onAlarm(): void {
    this.unit.alarmFired();
    this.unit.commit((nowMs) => this.outbox.sendDue(nowMs));
  }

  /** The agents named in each batch that was sent. */
  batches(): string[][] {
    return this.host.batches.map(({ batch }) =>
      batch.messages.map(({ message }) => (message.type === "forget_agent" ? message.agentId : "")),
    );
  }
}

describe("an outbox", () => {
  it("sends the messages of a commit as one batch, in order, once it is stored", async () => {
    const sender = new Sender();
    sender.send("a", "b", "c");
    await settled();
    expect(sender.batches()).toEqual([["a", "b", "c"]]);
    expect(sender.host.batches[0]?.receiver).toBe("group/g");
    expect(sender.outbox.nextWorkMs()).toBeNull();
  });

  it("sends nothing of a commit that is undone", async () => {
    const sender = new Sender();
    expect(() =>
      sender.unit.commit(() => {
        sender.outbox.send("group/g", message("a"));
        throw new Error("a bug");
      }),
    ).toThrow("a bug");
    sender.send("b");
    await settled();
    expect(sender.batches()).toEqual([["b"]]);
  });

  it("has one batch per receiver under way, and sends what came meanwhile in the next", async () => {
    const sender = new Sender();
    const { promise, resolve } = Promise.withResolvers<void>();
    const { receive } = sender.host;
    sender.host.receive = async (batch) => {
      await promise;
      return receive(batch);
    };
    sender.send("a");
    sender.send("b");
    sender.send("c");
    await settled();
    expect(sender.batches()).toEqual([["a"]]);
    resolve();
    await settled();
    expect(sender.batches()).toEqual([["a"], ["b", "c"]]);
  });

  it("repeats a batch with back-off until the receiver answers, and adds what came meanwhile", async () => {
    const sender = new Sender();
    const { receive } = sender.host;
    sender.host.receive = unreachable;
    sender.send("a");
    await settled();
    sender.send("b");
    await settled();
    expect(sender.batches()).toEqual([["a"]]);
    expect(sender.outbox.nextWorkMs()).toBe(sender.host.nowMs + 100);
    expect(sender.host.alarmMs).toBe(sender.host.nowMs + 100);

    sender.host.pass(100);
    sender.onAlarm();
    await settled();
    expect(sender.batches()).toEqual([["a"], ["a", "b"]]);
    expect(sender.outbox.nextWorkMs()).toBe(sender.host.nowMs + 200);

    sender.host.receive = receive;
    sender.host.pass(200);
    sender.onAlarm();
    await settled();
    expect(sender.batches()).toEqual([["a"], ["a", "b"], ["a", "b"]]);
    expect(sender.outbox.nextWorkMs()).toBeNull();
  });

  it("sends again after a restart what the receiver has not acknowledged, under the same stream", async () => {
    const sender = new Sender();
    sender.host.receive = unreachable;
    sender.send("a");
    await settled();
    const restarted = new Sender(sender.host);
    restarted.unit.commit(() => {});
    await settled();
    const [first, second] = sender.host.batches;
    expect(second?.batch).toEqual(first?.batch);
  });

  it("sets aside a message that the receiver refuses, reports it, and sends what follows", async () => {
    const sender = new Sender();
    sender.host.receive = async ({ messages }) => ({
      through: messages.at(-1)?.number ?? 0,
      refused: messages
        .filter(({ message }) => message.type === "forget_agent" && message.agentId === "bad")
        .map(({ number }) => ({ number, reason: "not understood" })),
    });
    const last = sender.send("bad", "good");
    await settled();
    expect(sender.deadLetters).toEqual([
      { receiver: "group/g", messageType: "forget_agent", reason: "not understood" },
    ]);
    expect(await sender.outbox.delivered("group/g", last, 1000)).toBe(true);
  });

  it("bounds a batch by the number of its messages", async () => {
    const sender = new Sender();
    sender.send(...Array.from({ length: 250 }, (_, index) => `agent-${index}`));
    await settled();
    expect(sender.batches().map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(sender.batches().flat()).toEqual(Array.from({ length: 250 }, (_, index) => `agent-${index}`));
  });

  it("bounds a batch by its characters, and sends a longer message alone", async () => {
    const sender = new Sender();
    const long = (letter: string, length: number) => letter.repeat(length);
    sender.send(long("a", 3_000_000), long("b", 2_000_000), long("c", 1_000_000), long("d", 5_000_000), "e");
    await settled();
    expect(sender.batches().map((batch) => batch.map(([letter]) => letter).join(""))).toEqual([
      "a",
      "bc",
      "d",
      "e",
    ]);
  });

  it("says when a message is delivered, or that it is not within the limit", async () => {
    const sender = new Sender();
    const { promise, resolve } = Promise.withResolvers<void>();
    const { receive } = sender.host;
    sender.host.receive = async (batch) => {
      await promise;
      return receive(batch);
    };
    const number = sender.send("a");
    const inTime = sender.outbox.delivered("group/g", number, 5000);
    const tooLate = sender.outbox.delivered("group/g", number, 100);
    sender.host.pass(100);
    expect(await tooLate).toBe(false);
    resolve();
    expect(await inTime).toBe(true);
    expect(await sender.outbox.delivered("group/g", number, 100)).toBe(true);
  });
});
