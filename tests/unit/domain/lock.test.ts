/** The life cycle of a lock. */
import { describe, expect, it } from "vitest";
import {
  ended,
  extendedLock,
  type Grant,
  granted,
  type LockRecord,
  released,
  releaseOf,
  renewed,
} from "../../../src/domain/lock.ts";

const GRANT: Grant = { resource: "l", holder: "a", incarnation: 1, fencingToken: 7, ttlMs: 1000 };

describe("a lock", () => {
  it("is held until the end of its TTL, which a renewal moves under the same token", () => {
    const lock = granted(GRANT, undefined, 0);
    expect(lock).toMatchObject({ holder: "a", expiresAtMs: 1000 });
    expect(renewed(lock, 5000, 900)).toMatchObject({ fencingToken: 7, ttlMs: 5000, expiresAtMs: 5900 });
  });

  it("remembers its last 16 releases, also under the next holder", () => {
    const free = released(granted(GRANT, undefined, 5));
    expect(free).toMatchObject({ holder: null, expiresAtMs: null });
    const next = granted({ ...GRANT, holder: "b", fencingToken: 8 }, free, 0);
    expect(releaseOf(next, 7)).toEqual({ holder: "a", fencingToken: 7, ttlMs: 1000, acquiredAtMs: 5 });
    expect(releaseOf(next, 8)).toBeUndefined();

    let lock = free;
    for (let fencingToken = 8; fencingToken < 8 + 16; fencingToken++) {
      lock = released(granted({ ...GRANT, fencingToken }, lock, 0));
    }
    expect(releaseOf(lock, 7)).toBeUndefined();
    expect([8, 23].map((token) => releaseOf(lock, token)?.fencingToken)).toEqual([8, 23]);
  });

  it("that ended without a release is granted only after the lock delay", () => {
    const lock = granted(GRANT, undefined, 0);
    for (const ending of ["expired", "holder_failed", "broken"] as const) {
      const free = { holder: null, grantableAtMs: 2300, releases: [] };
      expect(ended(lock, { ending, lockDelayMs: 300 }, 2000)).toMatchObject(free);
      expect(ended(lock, { ending, lockDelayMs: 0 }, 2000).grantableAtMs).toBeNull();
    }
  });

  it("of an agent that unregistered is granted at once", () => {
    const lock = granted(GRANT, undefined, 0);
    const free = ended(lock, { ending: "holder_unregistered", lockDelayMs: 300 }, 2000);
    expect(free).toMatchObject({ holder: null, grantableAtMs: null });
  });

  it("gets its TTL again after an outage, at most twice between two renewals", () => {
    let lock: LockRecord = granted(GRANT, undefined, 0);
    const ends = [500, 1000, 1500].map((nowMs) => {
      lock = extendedLock(lock, nowMs);
      return lock.expiresAtMs;
    });
    expect(ends).toEqual([1500, 2000, 2000]);
    expect(extendedLock(renewed(lock, 1000, 2000), 2500).expiresAtMs).toBe(3500);
  });
});
