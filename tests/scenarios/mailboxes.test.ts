/** Mailboxes: messages and broadcasts to agents, their order, limits and deletion. */
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

/** The timeout of the scripted agents, the second check of the alarm, and messages between objects. */
const NOTICED_MS = 3000 + 250;

/** When the simulated world begins. */
const STARTED_MS = Date.UTC(2026, 0, 1);

const broadcast = (content: string): Broadcast => ({
  type: "broadcast",
  from: "notifier",
  messageType: "news",
  content,
  atMs: STARTED_MS,
});

/** The mailboxes of one group, whose agents the test registers. */
class MailboxScenario {
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

  /** Delivers a message as the coordinator would. */
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

  /** Evicts the group, so that a new instance reads what is stored. */
  evict(): void {
    this.#group.evict();
  }

  rows(table: "messages" | "acknowledgements"): number {
    return Number(this.#group.database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.count);
  }
}

async function mailboxesOf(...agentIds: string[]): Promise<MailboxScenario> {
  const mailboxes = new MailboxScenario();
  for (const id of agentIds) await mailboxes.cluster.register(id);
  return mailboxes;
}

describe("a message to one agent", () => {
  it("is in its mailbox alone, after earlier ones, until it is acknowledged", async () => {
    const mailboxes = await mailboxesOf("a", "b");
    mailboxes.send("a", "one");
    mailboxes.send("a", "two");
    expect(mailboxes.contents("a")).toEqual(["one", "two"]);
    expect(mailboxes.contents("b")).toEqual([]);
    expect([mailboxes.unreadOf("a"), mailboxes.unreadOf("b")]).toEqual([2, 0]);

    const [first] = mailboxes.list("a").items;
    mailboxes.acknowledge("b", first?.id);
    expect(mailboxes.unreadOf("a")).toBe(2);
    for (let time = 0; time < 2; time++) {
      mailboxes.acknowledge("a", first?.id);
      expect(mailboxes.contents("a")).toEqual(["two"]);
      expect(mailboxes.unreadOf("a")).toBe(1);
    }
  });

  it("has a greater number than any before, also when those are deleted", async () => {
    const mailboxes = await mailboxesOf("a");
    let last = 0;
    for (let round = 0; round < 5; round++) {
      mailboxes.send("a", `${round}`);
      const [message] = mailboxes.list("a").items;
      expect(Number(message?.id)).toBeGreaterThan(last);
      last = Number(message?.id);
      mailboxes.acknowledge("a", message?.id);
      mailboxes.evict();
    }
  });

  it.each(["0", "-1", "1e0", "01", "nothing", "999999999999999", "9".repeat(40)])(
    "stays when the id %s, which no message has, is acknowledged",
    async (id) => {
      const mailboxes = await mailboxesOf("a");
      mailboxes.send("a", "kept");
      mailboxes.acknowledge("a", id);
      expect(mailboxes.contents("a")).toEqual(["kept"]);
    },
  );

  it("is kept for an agent that failed, and is there when the agent comes back", async () => {
    const mailboxes = await mailboxesOf("a");
    mailboxes.send("a", "before");
    mailboxes.cluster.silence("a");
    await mailboxes.cluster.pass(NOTICED_MS);
    mailboxes.send("a", "while it was away");
    await mailboxes.cluster.register("a");
    expect(mailboxes.contents("a")).toEqual(["before", "while it was away"]);
    expect(mailboxes.unreadOf("a")).toBe(2);
  });

  it("is deleted when its agent unregisters", async () => {
    const mailboxes = await mailboxesOf("a");
    mailboxes.send("a", "too late");
    const leaving = mailboxes.serve((service) => service.unregister("a", ADMIN));
    await mailboxes.cluster.pass(MESSAGE_MS);
    good(await leaving);
    expect(mailboxes.rows("messages")).toBe(0);
    await mailboxes.cluster.register("a");
    expect(mailboxes.unreadOf("a")).toBe(0);
  });

  it("is deleted when an operator drops its failed agent", async () => {
    const mailboxes = await mailboxesOf("a");
    mailboxes.send("a", "too late");
    mailboxes.cluster.silence("a");
    await mailboxes.cluster.pass(NOTICED_MS);
    good(mailboxes.cluster.cluster.coordinator.serve((service) => service.forget("a")));
    await mailboxes.cluster.pass(MESSAGE_MS);
    expect(mailboxes.rows("messages")).toBe(0);
  });

  it("is deleted a week after it was sent, and not before", async () => {
    const mailboxes = await mailboxesOf("a");
    mailboxes.cluster.silence("a");
    await mailboxes.cluster.pass(NOTICED_MS);
    // One alarm deletes only a part of them.
    for (let n = 0; n < 250; n++) mailboxes.send("a", `${n}`);
    await mailboxes.cluster.pass(WEEK_MS - 1000);
    expect(mailboxes.rows("messages")).toBe(250);
    mailboxes.send("a", "a later one");
    await mailboxes.cluster.pass(2000);
    expect(mailboxes.contents("a")).toEqual(["a later one"]);
  });

  it("is refused beyond 1,000 unread ones of an agent, until one is acknowledged", async () => {
    const mailboxes = await mailboxesOf("a");
    for (let n = 0; n < 1000; n++) mailboxes.send("a", `${n}`);
    expect(mailboxes.trySend("a", "one more")).toMatchObject({
      ok: false,
      problem: { code: "limit_reached" },
    });
    mailboxes.send("b", "another's");
    expect(mailboxes.unreadOf("a")).toBe(1000);
    mailboxes.acknowledge("a", mailboxes.list("a").items[0]?.id);
    mailboxes.send("a", "one more");
    expect(mailboxes.trySend("a", "two more").ok).toBe(false);
  });

  it("is refused beyond 20,000 unread ones of a group", async () => {
    const mailboxes = await mailboxesOf("a");
    for (let n = 0; n < 20_000; n++) mailboxes.send(`agent-${n % 20}`, "");
    expect(mailboxes.trySend("a", "one more")).toMatchObject({
      ok: false,
      problem: { code: "limit_reached" },
    });
    mailboxes.receive(broadcast("a broadcast is not"));
    expect(mailboxes.contents("a")).toEqual(["a broadcast is not"]);
  });

  it("may hold 64 KB and not one byte more, in characters of any size", () => {
    const sending = (content: unknown) => MessageSending.safeParse({ message_type: "note", content });
    const room = 64 * 1024 - 2;
    expect(sending("x".repeat(room)).success).toBe(true);
    expect(sending("x".repeat(room + 1)).error?.issues.map(({ path }) => path)).toEqual([["content"]]);
    expect(sending("é".repeat(room / 2)).success).toBe(true);
    expect(sending("é".repeat(room / 2 + 1)).success).toBe(false);
  });
});

describe("a broadcast", () => {
  it("is one row, in the mailbox of each agent that is live then", async () => {
    const mailboxes = await mailboxesOf("a", "b");
    mailboxes.send("a", "own");
    mailboxes.receive(broadcast("news"));
    await mailboxes.cluster.register("later");
    expect(mailboxes.contents("a")).toEqual(["own", "news"]);
    expect(mailboxes.contents("b")).toEqual(["news"]);
    expect(mailboxes.contents("later")).toEqual([]);
    expect(["a", "b", "later"].map((id) => mailboxes.unreadOf(id))).toEqual([2, 1, 0]);
    expect(mailboxes.rows("messages")).toBe(2);
  });

  it("is acknowledged by each agent separately, and in order without a row of its own", async () => {
    const mailboxes = await mailboxesOf("a", "b");
    for (const content of ["1", "2", "3", "4"]) mailboxes.receive(broadcast(content));
    const [first, second, third] = mailboxes.list("a").items;

    mailboxes.acknowledge("a", second?.id);
    mailboxes.acknowledge("a", third?.id);
    mailboxes.acknowledge("a", third?.id);
    expect(mailboxes.contents("a")).toEqual(["1", "4"]);
    expect(mailboxes.rows("acknowledgements")).toBe(2);
    mailboxes.evict();
    expect(mailboxes.unreadOf("a")).toBe(2);

    mailboxes.acknowledge("a", first?.id);
    expect(mailboxes.contents("a")).toEqual(["4"]);
    expect(mailboxes.rows("acknowledgements")).toBe(0);
    expect(mailboxes.contents("b")).toEqual(["1", "2", "3", "4"]);
  });

  it("stays unread when its reader re-registers, and is not for an agent that comes back from a failure", async () => {
    const mailboxes = await mailboxesOf("a", "b");
    mailboxes.receive(broadcast("1"));
    mailboxes.receive(broadcast("2"));
    mailboxes.acknowledge("a", mailboxes.list("a").items[1]?.id);
    await mailboxes.cluster.register("a");
    expect(mailboxes.contents("a")).toEqual(["1"]);

    mailboxes.cluster.silence("a");
    await mailboxes.cluster.pass(NOTICED_MS);
    expect(mailboxes.contents("a")).toEqual([]);
    mailboxes.receive(broadcast("3"));
    await mailboxes.cluster.register("a");
    expect(mailboxes.contents("a")).toEqual([]);
    expect(mailboxes.rows("acknowledgements")).toBe(0);
    expect(mailboxes.contents("b")).toEqual(["1", "2", "3"]);
  });

  it("is not stored when no agent is live", async () => {
    const mailboxes = await mailboxesOf("a");
    mailboxes.cluster.silence("a");
    await mailboxes.cluster.pass(NOTICED_MS);
    mailboxes.receive(broadcast("to nobody"));
    expect(mailboxes.rows("messages")).toBe(0);
  });

  it("is dropped when two hundred newer ones are stored", async () => {
    const mailboxes = await mailboxesOf("a");
    for (let n = 0; n < 201; n++) {
      mailboxes.receive(broadcast(`${n}`));
      if (n === 1) mailboxes.acknowledge("a", mailboxes.list("a").items[1]?.id);
    }
    expect(mailboxes.contents("a")).toEqual(Array.from({ length: 199 }, (_, n) => `${n + 2}`));
    mailboxes.receive(broadcast("201"));
    expect(mailboxes.unreadOf("a")).toBe(200);
    expect(mailboxes.rows("messages")).toBe(200);
    expect(mailboxes.rows("acknowledgements")).toBe(0);
  });

  it("goes to all groups of the cluster, or to those that are named", async () => {
    const { cluster } = await mailboxesOf("a");
    await cluster.register("n", {}, "north");
    await cluster.register("s", {}, "south");
    const tell = (number: number, groups: string[] | null, content: string) => {
      const message = { ...broadcast(content), type: "broadcast_requested" as const, groups };
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

it("a mailbox lists own messages and broadcasts in one order, page by page", async () => {
  const mailboxes = await mailboxesOf("a");
  const sent = Array.from({ length: 45 }, (_, n) => `${n}`);
  for (const content of sent) {
    if (Number(content) % 3 === 0) mailboxes.receive(broadcast(content));
    else mailboxes.send("a", content);
  }
  const seen: unknown[] = [];
  let cursor: string | null = null;
  do {
    const page = mailboxes.list("a", 20, cursor);
    seen.push(...page.items.map(({ content }) => content));
    cursor = page.next_cursor;
  } while (cursor !== null);
  expect(seen).toEqual(sent);
});

it("a mailbox lists no more at once than an answer may hold", async () => {
  const mailboxes = await mailboxesOf("a");
  for (let n = 0; n < 100; n++) mailboxes.send("a", "x".repeat(64_000));
  const page = mailboxes.list("a");
  expect(page.items.length).toBeLessThan(100);
  expect(mailboxes.list("a", 500, page.next_cursor).items).toHaveLength(100 - page.items.length);
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

it.each([1, 2, 3, 4, 5, 6, 7, 8])("a group's counts in memory match its mailboxes, seed %i", async (seed) => {
  const random = new Random(seed);
  const ids = ["a", "b", "c"];
  const mailboxes = await mailboxesOf(...ids);
  const expected = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (let step = 0; step < 250; step++) {
    const agentId = random.pick(ids);
    const content = `${step}`;
    switch (random.pick(ACTIONS)) {
      case "send":
        mailboxes.send(agentId, content);
        expected.get(agentId)?.push(content);
        break;
      case "broadcast":
        mailboxes.receive(broadcast(content));
        for (const mailbox of expected.values()) mailbox.push(content);
        break;
      case "acknowledge": {
        const { items } = mailboxes.list(agentId);
        // Agents acknowledge in order most often.
        const index = random.chance(0.7) ? 0 : Math.floor(random.between(0, items.length));
        mailboxes.acknowledge(agentId, items[index]?.id);
        expected.get(agentId)?.splice(index, 1);
        break;
      }
      case "register again":
        await mailboxes.cluster.register(agentId);
        break;
      case "evict":
        mailboxes.evict();
    }
    for (const id of ids) {
      expect(mailboxes.contents(id)).toEqual(expected.get(id));
      expect(mailboxes.unreadOf(id)).toBe(expected.get(id)?.length);
    }
  }
});
