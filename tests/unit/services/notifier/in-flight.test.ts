import { describe, expect, it } from "vitest";
import type { Notification } from "../../../../src/contract/notification.ts";
import { InFlight } from "../../../../src/services/notifier/in-flight.ts";

const message = (id: string, channel: Notification["channel"], ...keys: string[]) =>
  ({ id, channel, dedup_keys: keys }) as Notification;

describe("messages in flight", () => {
  it("delay others about the same incident on the same channel, until they end", () => {
    const inFlight = new InFlight();
    inFlight.start(message("1", "email", "a", "b"), false);
    expect(inFlight.blocks(message("1", "email", "a", "b"))).toBe(true);
    expect(inFlight.blocks(message("2", "email", "b"))).toBe(true);
    expect(inFlight.blocks(message("3", "email", "c"))).toBe(false);
    expect(inFlight.blocks(message("4", "webhook", "a"))).toBe(false);
    inFlight.end("1");
    expect(inFlight.blocks(message("2", "email", "b"))).toBe(false);
    expect(inFlight.isEmpty).toBe(true);
  });

  it("count toward the limit of their channel only if they were due", () => {
    const inFlight = new InFlight();
    inFlight.start(message("1", "email", "a"), false);
    inFlight.start(message("2", "email", "b"), true);
    expect(inFlight.dueCountOn("email")).toBe(1);
    expect(inFlight.hasRequested).toBe(true);
    inFlight.end("2");
    expect(inFlight.hasRequested).toBe(false);
  });

  it("are forgotten if the transaction that started them did not commit", () => {
    const inFlight = new InFlight();
    inFlight.start(message("1", "email", "a"), false);
    inFlight.start(message("2", "email", "b"), false);
    inFlight.begun("1");
    inFlight.dropUnbegun();
    expect([inFlight.has("1"), inFlight.has("2")]).toEqual([true, false]);
  });
});
