import { describe, expect, it } from "vitest";
import { ok, refuse } from "../../../src/contract/problem.ts";
import { UnitOfWork } from "../../../src/services/unit-of-work.ts";
import { FakeHost } from "../../support/fake-host.ts";

/** A service with one number, stored and mirrored in memory. */
class Tally {
  readonly host = new FakeHost();
  loads = 0;
  value = 0;
  nextWorkMs: number | null = null;
  readonly unit = new UnitOfWork(this.host, {
    migrations: [["CREATE TABLE tally (value INTEGER NOT NULL)", "INSERT INTO tally VALUES (0)"]],
    load: () => {
      this.loads += 1;
      this.value = this.stored();
    },
    nextWorkMs: () => this.nextWorkMs,
  });

  add(amount: number): void {
    this.value += amount;
    this.host.sql.all("UPDATE tally SET value = ?", this.value);
  }

  stored(): number {
    return this.host.sql.all<{ value: number }>("SELECT value FROM tally")[0]?.value ?? 0;
  }

  hasTables(): boolean {
    return this.host.sql.all("SELECT 1 FROM sqlite_master WHERE name = 'tally'").length > 0;
  }
}

describe("a commit", () => {
  it("stores the work, and runs its effects afterwards", () => {
    const tally = new Tally();
    const seen: number[] = [];
    tally.unit.commit(() => {
      tally.unit.afterCommit(() => seen.push(tally.stored()));
      tally.add(3);
    });
    expect(tally.stored()).toBe(3);
    expect(seen).toEqual([3]);
  });

  it("that throws stores nothing, runs no effect, and reads memory anew", () => {
    const tally = new Tally();
    tally.unit.commit(() => tally.add(1));
    const effects: string[] = [];
    expect(() =>
      tally.unit.commit(() => {
        tally.unit.afterCommit(() => effects.push("ran"));
        tally.add(5);
        throw new Error("a bug");
      }),
    ).toThrow("a bug");
    expect(tally.unit.read(() => tally.value)).toBe(1);
    expect(tally.loads).toBe(2);
    tally.unit.commit(() => {});
    expect(effects).toEqual([]);
  });

  it("that refuses stores nothing, runs no effect, and keeps memory", () => {
    const tally = new Tally();
    tally.unit.commit(() => tally.add(1));
    const effects: string[] = [];
    const outcome = tally.unit.commit(() => {
      tally.unit.afterCommit(() => effects.push("ran"));
      tally.host.sql.all("UPDATE tally SET value = 9");
      return refuse("not_found", "there is none");
    });
    expect(outcome).toMatchObject({ ok: false, problem: { code: "not_found" } });
    expect(tally.stored()).toBe(1);
    expect(tally.loads).toBe(1);
    expect(effects).toEqual([]);
  });

  it("that is good returns the outcome of its work", () => {
    const tally = new Tally();
    expect(tally.unit.commit(() => ok(tally.host.nowMs))).toEqual({ ok: true, value: tally.host.nowMs });
  });

  it("within a commit is a bug", () => {
    const tally = new Tally();
    expect(() => tally.unit.commit(() => tally.unit.commit(() => {}))).toThrow("a commit within a commit");
  });

  it("runs the other effects when one fails, and logs the failure", () => {
    const tally = new Tally();
    const effects: string[] = [];
    tally.unit.commit(() => {
      tally.unit.afterCommit(() => {
        throw new Error("no socket");
      });
      tally.unit.afterCommit(() => effects.push("second"));
    });
    expect(effects).toEqual(["second"]);
    expect(tally.host.logged).toEqual(["effect_failed"]);
  });

  it("never sees an earlier time than the one before, though the clock steps back", () => {
    const tally = new Tally();
    const first = tally.unit.commit((nowMs) => nowMs);
    tally.host.nowMs -= 60_000;
    expect(tally.unit.commit((nowMs) => nowMs)).toBe(first);
  });
});

describe("a read", () => {
  it("of an object that stores nothing yet stores nothing", () => {
    const tally = new Tally();
    expect(tally.unit.read(() => tally.value)).toBe(0);
    expect(tally.hasTables()).toBe(false);
  });
});

describe("a dry run", () => {
  it("returns its result and keeps nothing of it, in storage or in memory", () => {
    const tally = new Tally();
    tally.unit.commit(() => tally.add(2));
    const value = tally.unit.dryRun(() => {
      tally.add(40);
      return tally.value;
    });
    expect(value).toBe(42);
    expect(tally.stored()).toBe(2);
    expect(tally.unit.read(() => tally.value)).toBe(2);
  });
});

describe("the alarm", () => {
  it("is set with the work that needs it, and cleared when there is nothing to do", () => {
    const tally = new Tally();
    tally.nextWorkMs = tally.host.nowMs + 500;
    tally.unit.commit(() => {});
    expect(tally.host.alarmMs).toBe(tally.host.nowMs + 500);
    tally.nextWorkMs = null;
    tally.unit.commit(() => {});
    expect(tally.host.alarmMs).toBeNull();
  });

  it("is moved to an earlier instant, and left alone for a later one", () => {
    const tally = new Tally();
    const { host } = tally;
    tally.nextWorkMs = host.nowMs + 500;
    tally.unit.commit(() => {});
    tally.nextWorkMs = host.nowMs + 900;
    tally.unit.commit(() => {});
    expect(host).toMatchObject({ alarmMs: host.nowMs + 500, alarmsSet: 1 });
    tally.nextWorkMs = host.nowMs + 100;
    tally.unit.commit(() => {});
    expect(host).toMatchObject({ alarmMs: host.nowMs + 100, alarmsSet: 2 });
  });

  it("is set again after it has fired, and after a commit that was undone", () => {
    const tally = new Tally();
    tally.nextWorkMs = tally.host.nowMs + 500;
    expect(() =>
      tally.unit.commit(() => {
        throw new Error("a bug");
      }),
    ).toThrow("a bug");
    tally.unit.commit(() => {});
    expect(tally.host.alarmsSet).toBe(1);
    tally.unit.alarmFired();
    tally.unit.commit(() => {});
    expect(tally.host.alarmsSet).toBe(2);
  });

  it("is set again when it is long overdue: the platform has lost it", () => {
    const tally = new Tally();
    tally.nextWorkMs = tally.host.nowMs + 500;
    tally.unit.commit(() => {});
    tally.host.nowMs += 89_000;
    tally.unit.commit(() => {});
    expect(tally.host.alarmsSet).toBe(1);
    tally.host.nowMs += 2_000;
    tally.unit.commit(() => {});
    expect(tally.host).toMatchObject({ alarmsSet: 2, alarmMs: tally.host.nowMs + 1 });
  });
});
