/** Long work in batches. */
import { describe, expect, it } from "vitest";
import { BackgroundWork } from "../../../../src/services/coordinator/sliced-work.ts";
import type { UnitOfWork } from "../../../../src/services/unit-of-work.ts";

/** Work of that many batches each, and the events in which it runs. */
function newWork(slices: { failover: number; slots: number }) {
  const deferred: (() => void)[] = [];
  const done: string[] = [];
  const part = (name: "failover" | "slots") => ({
    get hasWork() {
      return slices[name] > 0;
    },
    runSlice() {
      slices[name] -= 1;
      done.push(name);
    },
  });
  const unit = {
    read: (work: () => unknown) => work(),
    commit: (work: (nowMs: number) => unknown) => work(0),
  };
  const work = new BackgroundWork(
    { defer: (run) => void deferred.push(run) },
    unit as unknown as UnitOfWork,
    { failover: part("failover"), slots: part("slots") },
  );
  return { work, deferred, done };
}

describe("background work", () => {
  it("runs one batch now and each further one in an event of its own, failover first", () => {
    const { work, deferred, done } = newWork({ failover: 2, slots: 1 });
    work.run();
    expect(done).toEqual(["failover"]);
    for (let run = deferred.shift(); run !== undefined; run = deferred.shift()) run();
    expect(done).toEqual(["failover", "failover", "slots"]);
    expect(work.hasWork).toBe(false);
  });

  it("is deferred once, however often it is requested", () => {
    const { work, deferred } = newWork({ failover: 9, slots: 0 });
    work.continueLater();
    work.run();
    work.continueLater();
    expect(deferred).toHaveLength(1);
  });

  it("does nothing when there is no work", () => {
    const { work, deferred, done } = newWork({ failover: 0, slots: 0 });
    work.run();
    expect([deferred.length, done.length]).toEqual([0, 0]);
  });
});
