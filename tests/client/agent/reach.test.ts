/** Pauses of calls without an answer, and how they end. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Reach } from "../../../client/src/agent/reach.ts";
import { pass, startTime, stopTime } from "../fakes.ts";

beforeEach(stopTime);
afterEach(startTime);

/** A pause of 5 s, and when it ended. */
function pausing(reach: Reach, { sentAgoMs = 0 } = {}) {
  const stop = new AbortController();
  const state = { stop, endedAfterMs: null as number | null };
  const beganAtMs = performance.now();
  const failed = { pauseMs: 5000, sentAtMs: beganAtMs - sentAgoMs };
  void reach.pause(failed, stop.signal).then(() => {
    state.endedAfterMs = performance.now() - beganAtMs;
  });
  return state;
}

describe("a pause before a call is repeated", () => {
  it("takes its time while no call succeeds", async () => {
    const pause = pausing(new Reach());
    await pass(10);
    expect(pause.endedAfterMs).toBe(5000);
  });

  it("ends when another call succeeds", async () => {
    const reach = new Reach();
    const pause = pausing(reach);
    await pass(2);
    reach.reached();
    await pass(0);
    expect(pause.endedAfterMs).toBe(2000);
  });

  it("lasts 200 ms at least, so that a call that fails while others succeed floods nobody", async () => {
    const reach = new Reach();
    const pause = pausing(reach);
    reach.reached();
    await pass(1);
    expect(pause.endedAfterMs).toBe(200);
  });

  it("is as short if another call has succeeded since the failed one was sent", async () => {
    const reach = new Reach();
    await pass(1);
    reach.reached();
    await pass(1);
    const [after, before] = [pausing(reach, { sentAgoMs: 500 }), pausing(reach, { sentAgoMs: 1500 })];
    await pass(10);
    expect([after.endedAfterMs, before.endedAfterMs]).toEqual([5000, 200]);
  });

  it("ends with the agent", async () => {
    const pause = pausing(new Reach());
    await pass(2);
    pause.stop.abort();
    await pass(0);
    expect(pause.endedAfterMs).toBe(2000);
  });
});
