import { describe, expect, it } from "vitest";
import { MessageSending } from "../../src/contract/message.ts";
import { ADMIN } from "../../src/domain/principal.ts";
import type { Broadcast, OutboxMessage } from "../../src/protocol/messages.ts";
import type { AgentGroup } from "../../src/services/agent-group/agent-group.ts";
import { agentPrincipal } from "../support/principals.ts";
import { Random } from "../support/simulation/random.ts";
import { good, ScriptedCluster } from "../support/simulation/scripted-cluster.ts";

const WEEK_MS = 604_800_000;

/** Enough for messages between objects to arrive. */
const MESSAGE_MS = 50;

/** The timeout of the scripted agents, the second look, and messages between objects. */
const NOTICED_MS = 3000 + 250;

/** When the simulated world begins. */
const STARTED_MS = Date.UTC(2026, 0, 1);

const told = (content: string): Broadcast => ({
  type: "broadcast",
  from: "notifier",
  messageType: "news",
  content,
  atMs: STARTED_MS,
});

/** The boxes of one group, whose agents the test registers. */
class Boxes {
  readonly cluster = new ScriptedCluster();
  readonly #group = this.cluster.cluster.group("default");
  #messages = 0;

  serve<Result>(call: (service: AgentGroup) => Result): Result {
    return this.#group.serve(call);
  }

  trySend(agentId: string, content: string) {
    return this.serve((service) =>
      service.messages.send(agentId, { from: "operator", message_type: "note", content }),
    );
  }

  send(agentId: string, content: string): void {
    good(this.trySend(agentId, content));
  }

  /** As the coordinator would. */
  receive(message: OutboxMessage): void {
    this.#messages += 1;
    const messages = [{ number: this.#messages, message }];
    expect(this.serve((service) => service.receive({ stream: "test", messages: messages })).refused).toEqual(
      [],
    );
  }

  list(agentId: string, limit = 500, cursor: string | null = null) {
    return this.serve((service) => service.messages.list(agentId, limit, cursor));
  }

  contents(agentId: string): unknown[] {
    return this.list(agentId).items.map(({ content }) => content);
  }

  acknowledge(agentId: string, id: string | undefined): void {
    good(this.serve((service) => service.messages.acknowledge(agentId, id ?? "", ADMIN)));
  }

  unreadOf(agentId: string): number {
    const incarnation = this.cluster.incarnationOf(agentId);
    return good(this.serve((service) => service.heartbeat(agentId, {}, agentPrincipal(agentId, incarnation))))
      .unread_messages;
  }

  /** The instance goes, and a new one reads what is stored. */
  evict(): void {
    this.#group.evict();
  }

  rows(table: "messages" | "acknowledgements"): number {
    return Number(this.#group.database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.count);
  }
}

async function boxesOf(...agentIds: string[]): Promise<Boxes> {
  const boxes = new Boxes();
  for (const id of agentIds) await boxes.cluster.register(id);
  return boxes;
}

describe("a message to one agent", () => {
  it("is in its box alone, behind those that came before, until it is acknowledged", async () => {
    const boxes = await boxesOf("a", "b");
    boxes.send("a", "one");
    boxes.send("a", "two");
    expect(boxes.contents("a")).toEqual(["one", "two"]);
    expect(boxes.contents("b")).toEqual([]);
    expect([boxes.unreadOf("a"), boxes.unreadOf("b")]).toEqual([2, 0]);

    const [first] = boxes.list("a").items;
    boxes.acknowledge("b", first?.id);
    expect(boxes.unreadOf("a")).toBe(2);
    for (let time = 0; time < 2; time++) {
      boxes.acknowledge("a", first?.id);
      expect(boxes.contents("a")).toEqual(["two"]);
      expect(boxes.unreadOf("a")).toBe(1);
    }
  });

  it("has a greater number than any before, also when those are gone", async () => {
    const boxes = await boxesOf("a");
    let last = 0;
    for (let round = 0; round < 5; round++) {
      boxes.send("a", `${round}`);
      const [message] = boxes.list("a").items;
      expect(Number(message?.id)).toBeGreaterThan(last);
      last = Number(message?.id);
      boxes.acknowledge("a", message?.id);
      boxes.evict();
    }
  });

  it.each(["0", "-1", "1e0", "01", "nothing", "999999999999999", "9".repeat(40)])(
    "stays when %s is acknowledged, which is no id of one",
    async (id) => {
      const boxes = await boxesOf("a");
      boxes.send("a", "kept");
      boxes.acknowledge("a", id);
      expect(boxes.contents("a")).toEqual(["kept"]);
    },
  );

  it("waits for an agent that failed, and is there when it comes back", async () => {
    const boxes = await boxesOf("a");
    boxes.send("a", "before");
    boxes.cluster.silence("a");
    await boxes.cluster.pass(NOTICED_MS);
    boxes.send("a", "while it was away");
    await boxes.cluster.register("a");
    expect(boxes.contents("a")).toEqual(["before", "while it was away"]);
    expect(boxes.unreadOf("a")).toBe(2);
  });

  it("goes when its agent unregisters", async () => {
    const boxes = await boxesOf("a");
    boxes.send("a", "too late");
    const leaving = boxes.serve((service) => service.unregister("a", ADMIN));
    await boxes.cluster.pass(MESSAGE_MS);
    good(await leaving);
    expect(boxes.rows("messages")).toBe(0);
    await boxes.cluster.register("a");
    expect(boxes.unreadOf("a")).toBe(0);
  });

  it("goes when an operator drops its agent after a failure", async () => {
    const boxes = await boxesOf("a");
    boxes.send("a", "too late");
    boxes.cluster.silence("a");
    await boxes.cluster.pass(NOTICED_MS);
    good(boxes.cluster.cluster.coordinator.serve((service) => service.forget("a")));
    await boxes.cluster.pass(MESSAGE_MS);
    expect(boxes.rows("messages")).toBe(0);
  });

  it("goes a week after it was sent, and not before", async () => {
    const boxes = await boxesOf("a");
    boxes.cluster.silence("a");
    await boxes.cluster.pass(NOTICED_MS);
    // More than one alarm drops.
    for (let n = 0; n < 250; n++) boxes.send("a", `${n}`);
    await boxes.cluster.pass(WEEK_MS - 1000);
    expect(boxes.rows("messages")).toBe(250);
    boxes.send("a", "a later one");
    await boxes.cluster.pass(2000);
    expect(boxes.contents("a")).toEqual(["a later one"]);
  });

  it("is refused beyond 1,000 unread ones, until one is acknowledged", async () => {
    const boxes = await boxesOf("a");
    for (let n = 0; n < 1000; n++) boxes.send("a", `${n}`);
    expect(boxes.trySend("a", "one more")).toMatchObject({ ok: false, problem: { code: "limit_reached" } });
    boxes.send("b", "another's");
    expect(boxes.unreadOf("a")).toBe(1000);
    boxes.acknowledge("a", boxes.list("a").items[0]?.id);
    boxes.send("a", "one more");
    expect(boxes.trySend("a", "two more").ok).toBe(false);
  });

  it("is refused beyond 20,000 unread ones of a group", async () => {
    const boxes = await boxesOf("a");
    for (let n = 0; n < 20_000; n++) boxes.send(`agent-${n % 20}`, "");
    expect(boxes.trySend("a", "one more")).toMatchObject({ ok: false, problem: { code: "limit_reached" } });
    boxes.receive(told("a broadcast is not"));
    expect(boxes.contents("a")).toEqual(["a broadcast is not"]);
  });

  it("may hold 64 KB, and not a byte more, however many characters that are", () => {
    const sending = (content: unknown) => MessageSending.safeParse({ message_type: "note", content });
    const room = 64 * 1024 - 2;
    expect(sending("x".repeat(room)).success).toBe(true);
    expect(sending("x".repeat(room + 1)).error?.issues.map(({ path }) => path)).toEqual([["content"]]);
    expect(sending("é".repeat(room / 2)).success).toBe(true);
    expect(sending("é".repeat(room / 2 + 1)).success).toBe(false);
  });
});

describe("a broadcast", () => {
  it("is one row, in the box of each agent that lives then", async () => {
    const boxes = await boxesOf("a", "b");
    boxes.send("a", "own");
    boxes.receive(told("news"));
    await boxes.cluster.register("later");
    expect(boxes.contents("a")).toEqual(["own", "news"]);
    expect(boxes.contents("b")).toEqual(["news"]);
    expect(boxes.contents("later")).toEqual([]);
    expect(["a", "b", "later"].map((id) => boxes.unreadOf(id))).toEqual([2, 1, 0]);
    expect(boxes.rows("messages")).toBe(2);
  });

  it("is acknowledged by each for itself, in order without a row of its own", async () => {
    const boxes = await boxesOf("a", "b");
    for (const content of ["1", "2", "3", "4"]) boxes.receive(told(content));
    const [first, second, third] = boxes.list("a").items;

    boxes.acknowledge("a", second?.id);
    boxes.acknowledge("a", third?.id);
    boxes.acknowledge("a", third?.id);
    expect(boxes.contents("a")).toEqual(["1", "4"]);
    expect(boxes.rows("acknowledgements")).toBe(2);
    boxes.evict();
    expect(boxes.unreadOf("a")).toBe(2);

    boxes.acknowledge("a", first?.id);
    expect(boxes.contents("a")).toEqual(["4"]);
    expect(boxes.rows("acknowledgements")).toBe(0);
    expect(boxes.contents("b")).toEqual(["1", "2", "3", "4"]);
  });

  it("stays unread when its reader registers again, and is not for one that comes back from a failure", async () => {
    const boxes = await boxesOf("a", "b");
    boxes.receive(told("1"));
    boxes.receive(told("2"));
    boxes.acknowledge("a", boxes.list("a").items[1]?.id);
    await boxes.cluster.register("a");
    expect(boxes.contents("a")).toEqual(["1"]);

    boxes.cluster.silence("a");
    await boxes.cluster.pass(NOTICED_MS);
    expect(boxes.contents("a")).toEqual([]);
    boxes.receive(told("3"));
    await boxes.cluster.register("a");
    expect(boxes.contents("a")).toEqual([]);
    expect(boxes.rows("acknowledgements")).toBe(0);
    expect(boxes.contents("b")).toEqual(["1", "2", "3"]);
  });

  it("is not stored when nobody lives", async () => {
    const boxes = await boxesOf("a");
    boxes.cluster.silence("a");
    await boxes.cluster.pass(NOTICED_MS);
    boxes.receive(told("to nobody"));
    expect(boxes.rows("messages")).toBe(0);
  });

  it("makes way for the two-hundredth after it", async () => {
    const boxes = await boxesOf("a");
    for (let n = 0; n < 201; n++) {
      boxes.receive(told(`${n}`));
      if (n === 1) boxes.acknowledge("a", boxes.list("a").items[1]?.id);
    }
    expect(boxes.contents("a")).toEqual(Array.from({ length: 199 }, (_, n) => `${n + 2}`));
    boxes.receive(told("201"));
    expect(boxes.unreadOf("a")).toBe(200);
    expect(boxes.rows("messages")).toBe(200);
    expect(boxes.rows("acknowledgements")).toBe(0);
  });

  it("goes to all groups of the cluster, or to those that are named", async () => {
    const { cluster } = await boxesOf("a");
    await cluster.register("n", {}, "north");
    await cluster.register("s", {}, "south");
    const tell = (number: number, groups: string[] | null, content: string) => {
      const message = { ...told(content), type: "broadcast_requested" as const, groups };
      cluster.cluster.coordinator.serve((service) =>
        service.receive({ stream: "test", messages: [{ number, message }] }),
      );
    };
    tell(1, null, "all");
    tell(2, ["north", "nowhere"], "some");
    await cluster.pass(MESSAGE_MS);
    const contents = (group: string, agentId: string) =>
      cluster.cluster
        .group(group)
        .serve((service) => service.messages.list(agentId, 10, null))
        .items.map(({ content }) => content);
    expect(contents("default", "a")).toEqual(["all"]);
    expect(contents("north", "n")).toEqual(["all", "some"]);
    expect(contents("south", "s")).toEqual(["all"]);
  });
});

it("lists page by page, own messages and broadcasts in one order", async () => {
  const boxes = await boxesOf("a");
  const sent = Array.from({ length: 45 }, (_, n) => `${n}`);
  for (const content of sent) {
    if (Number(content) % 3 === 0) boxes.receive(told(content));
    else boxes.send("a", content);
  }
  const seen: unknown[] = [];
  let cursor: string | null = null;
  do {
    const page = boxes.list("a", 20, cursor);
    seen.push(...page.items.map(({ content }) => content));
    cursor = page.next_cursor;
  } while (cursor !== null);
  expect(seen).toEqual(sent);
});

it("lists no more at once than an answer may carry", async () => {
  const boxes = await boxesOf("a");
  for (let n = 0; n < 100; n++) boxes.send("a", "x".repeat(64_000));
  const page = boxes.list("a");
  expect(page.items.length).toBeLessThan(100);
  expect(boxes.list("a", 500, page.next_cursor).items).toHaveLength(100 - page.items.length);
});

const ACTIONS = [
  "send",
  "send",
  "broadcast",
  "acknowledge",
  "acknowledge",
  "acknowledge",
  "register again",
  "evict",
] as const;

it.each([1, 2, 3, 4, 5, 6, 7, 8])("counts in memory what is in the boxes, seed %i", async (seed) => {
  const random = new Random(seed);
  const ids = ["a", "b", "c"];
  const boxes = await boxesOf(...ids);
  const expected = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (let step = 0; step < 250; step++) {
    const agentId = random.pick(ids);
    const content = `${step}`;
    switch (random.pick(ACTIONS)) {
      case "send":
        boxes.send(agentId, content);
        expected.get(agentId)?.push(content);
        break;
      case "broadcast":
        boxes.receive(told(content));
        for (const box of expected.values()) box.push(content);
        break;
      case "acknowledge": {
        const { items } = boxes.list(agentId);
        // Most often in order.
        const index = random.chance(0.7) ? 0 : Math.floor(random.between(0, items.length));
        boxes.acknowledge(agentId, items[index]?.id);
        expected.get(agentId)?.splice(index, 1);
        break;
      }
      case "register again":
        await boxes.cluster.register(agentId);
        break;
      case "evict":
        boxes.evict();
    }
    for (const id of ids) {
      expect(boxes.contents(id)).toEqual(expected.get(id));
      expect(boxes.unreadOf(id)).toBe(expected.get(id)?.length);
    }
  }
});
