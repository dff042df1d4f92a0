import { describe, expect, it } from "vitest";
import type { LockCache } from "../../../../../src/services/agent-group/locks/lock-cache.ts";
import { GroupParts } from "../../../../support/group-parts.ts";

const HOUR_MS = 3_600_000;

function cacheIn(parts: GroupParts) {
  const { locks } = parts.context;
  const change = <Result>(work: (locks: LockCache, nowMs: number) => Result): Result =>
    parts.unit.commit((nowMs) => work(locks, nowMs));
  return {
    locks,
    change,
    grant: (resource: string, holder: string, ttlMs = 10_000) =>
      change((cache, nowMs) => cache.grant({ resource, holder, incarnation: 1, ttlMs }, nowMs)),
  };
}

describe("the locks of a group", () => {
  it("have fencing tokens that grow with each grant, over all resources and restarts", () => {
    const parts = new GroupParts();
    const { grant } = cacheIn(parts);
    const tokens = [grant("disk", "a"), grant("tape", "b"), grant("disk", "b")].map(
      ({ fencingToken }) => fencingToken,
    );
    tokens.push(cacheIn(parts.restarted()).grant("disk", "c").fencingToken);
    expect(tokens).toEqual([...tokens].sort((one, other) => one - other));
    expect(new Set(tokens).size).toBe(4);
  });

  it("are the same after a restart", () => {
    const parts = new GroupParts();
    const { grant, change, locks } = cacheIn(parts);
    grant("disk", "a");
    const tape = grant("tape", "b");
    change((cache) => cache.release(tape));
    const restarted = cacheIn(parts.restarted());
    restarted.change(() => {});
    expect(restarted.locks.held()).toEqual(locks.held());
    expect(restarted.locks.find("tape")).toEqual(locks.find("tape"));
    expect(restarted.locks.heldCount).toBe(1);
    expect(restarted.locks.heldCountOf("a")).toBe(1);
    expect(restarted.locks.heldCountOf("b")).toBe(0);
  });

  it("of a commit that is undone are not granted", () => {
    const parts = new GroupParts();
    const { locks, change } = cacheIn(parts);
    expect(() =>
      change((cache, nowMs) => {
        cache.grant({ resource: "disk", holder: "a", incarnation: 1, ttlMs: 1000 }, nowMs);
        throw new Error("a bug");
      }),
    ).toThrow("a bug");
    expect(parts.unit.read(() => locks.find("disk"))).toBeUndefined();
  });

  it("end together with their holder, in the order of their names", () => {
    const { grant, change, locks } = cacheIn(new GroupParts());
    for (const resource of ["tape", "disk", "net"]) grant(resource, "a");
    grant("other", "b");
    expect(
      change((cache, nowMs) => cache.endAllOf("a", { ending: "holder_failed", lockDelayMs: 500 }, nowMs)),
    ).toEqual(["disk", "net", "tape"]);
    expect(locks.held().map(({ resource }) => resource)).toEqual(["other"]);
    expect(locks.find("disk")?.grantableAtMs).not.toBeNull();
  });

  it("expire at their TTL, and not before", () => {
    const parts = new GroupParts();
    const { grant, locks } = cacheIn(parts);
    grant("brief", "a", 1000);
    grant("long", "a", 5000);
    const { nowMs } = parts.host;
    expect(locks.earliestExpiryMs).toBe(nowMs + 1000);
    expect(locks.shortestTtlMs).toBe(1000);
    expect(locks.expired(nowMs + 999)).toEqual([]);
    expect(locks.expired(nowMs + 1000)).toMatchObject([{ resource: "brief" }]);
  });

  it("get their whole TTL again after an outage, at most twice without a renewal", () => {
    const parts = new GroupParts();
    const { grant, change, locks } = cacheIn(parts);
    grant("disk", "a", 1000);
    const { nowMs } = parts.host;
    for (const laterMs of [5000, 6000, 7000]) change((cache) => cache.extendAll(nowMs + laterMs));
    expect(locks.find("disk")?.expiresAtMs).toBe(nowMs + 7000);
    change((cache) => {
      const lock = cache.find("disk");
      if (lock !== undefined) cache.renew(lock, 1000, nowMs + 6500);
      cache.extendAll(nowMs + 8000);
    });
    expect(locks.find("disk")?.expiresAtMs).toBe(nowMs + 9000);
  });

  it("are kept for an hour after a release, so that a repeated release finds them", () => {
    const { grant, change, locks } = cacheIn(new GroupParts());
    const disk = grant("disk", "a", 1000);
    change((cache) => cache.release(disk));
    change((cache, nowMs) => cache.sweep(nowMs + HOUR_MS, 10));
    expect(locks.find("disk")?.releases).toHaveLength(1);
    change((cache, nowMs) => cache.sweep(nowMs + HOUR_MS + 1000, 10));
    expect(locks.find("disk")).toBeUndefined();
  });
});
