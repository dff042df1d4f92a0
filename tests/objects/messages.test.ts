/** Mailboxes of an agent group as a Durable Object: what survives an eviction, and the cost of reading them. */
import { evictDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { ADMIN } from "../../src/domain/principal.ts";
import type { Broadcast } from "../../src/protocol/messages.ts";
import { agentPrincipal } from "../support/principals.ts";
import { codeOf, good, inside, newCluster, registration } from "./objects.ts";

const note = (content: string) => ({ from: "operator", message_type: "note", content });

const news = (content: string): Broadcast => ({
  type: "broadcast",
  from: "notifier",
  messageType: "news",
  content,
  atMs: Date.now(),
});

/** A group with one live agent. */
async function watched() {
  const { coordinator, group } = newCluster();
  const north = group("north");
  const { agent } = good(await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN));
  const { incarnation } = agent;
  return {
    coordinator,
    north,
    incarnation,
    contents: async () => (await north.messages("a", 500, null)).items.map(({ content }) => content),
    unread: async () =>
      good(await north.heartbeat("a", {}, agentPrincipal("a", incarnation))).unread_messages,
  };
}

it("remembers unread messages and broadcasts across evictions", async () => {
  const { north, incarnation, contents, unread } = await watched();
  const own = good(await north.sendMessage("a", note("own")));
  await north.receive({
    stream: "test",
    messages: ["1", "2", "3"].map((content, index) => ({ number: index + 1, message: news(content) })),
  });

  await evictDurableObject(north);

  expect(await unread()).toBe(4);
  expect(await contents()).toEqual(["own", "1", "2", "3"]);
  const second = (await north.messages("a", 500, null)).items[2];
  good(await north.acknowledgeMessage("a", own.id, agentPrincipal("a", incarnation)));
  good(await north.acknowledgeMessage("a", second?.id ?? "", agentPrincipal("a", incarnation)));

  await evictDurableObject(north);

  expect(await unread()).toBe(2);
  expect(await contents()).toEqual(["1", "3"]);
  good(await north.acknowledgeMessage("a", own.id, agentPrincipal("a", incarnation)));
  const later = good(await north.sendMessage("a", note("later")));
  expect(Number(later.id)).toBeGreaterThan(Number(second?.id));
  const first = (await north.messages("a", 1, null)).items[0];
  good(await north.acknowledgeMessage("a", first?.id ?? "", agentPrincipal("a", incarnation)));

  await evictDurableObject(north);

  expect(await unread()).toBe(2);
  expect(await contents()).toEqual(["3", "later"]);
});

it("keeps a message across a failure of its agent and an eviction", async () => {
  const { coordinator, north, incarnation } = await watched();
  good(await north.sendMessage("a", note("before")));
  good(await north.reportFailure("a", { failure_type: "reported" }));
  good(await north.sendMessage("a", note("after")));

  await evictDurableObject(north);

  expect(codeOf(await north.acknowledgeMessage("a", "1", agentPrincipal("a", incarnation)))).toBe(
    "session_expired",
  );
  const { agent } = good(await coordinator.register({ group: "north", agentId: "a" }, registration(), ADMIN));
  expect(good(await north.heartbeat("a", {}, agentPrincipal("a", agent.incarnation))).unread_messages).toBe(
    2,
  );
});

it("reads a mailbox, and counts it for a heartbeat, without writing a row", async () => {
  const { north, incarnation } = await watched();
  good(await north.sendMessage("a", note("own")));
  await north.receive({ stream: "test", messages: [{ number: 1, message: news("all") }] });
  good(await north.heartbeat("a", {}, agentPrincipal("a", incarnation)));
  const rows = await inside(north, (instance) => {
    const before = instance.rowsWritten();
    expect(instance.messages("a", 500, null).items).toHaveLength(2);
    expect(good(instance.heartbeat("a", {}, agentPrincipal("a", incarnation))).unread_messages).toBe(2);
    return instance.rowsWritten() - before;
  });
  expect(rows).toBe(0);
});

it("stores nothing for a group whose mailboxes were only read", async () => {
  const { group } = newCluster();
  const untouched = group("untouched");
  expect(await untouched.messages("unknown", 10, null)).toEqual({ items: [], next_cursor: null });
  expect(codeOf(await untouched.acknowledgeMessage("unknown", "1", agentPrincipal("unknown", 1)))).toBe(
    "session_expired",
  );
  const tables = await inside(untouched, (_, { storage }) =>
    storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
  );
  expect(tables).toEqual([]);
});
