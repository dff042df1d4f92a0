/** What an agent has done of each task type. */
import { describe, expect, it } from "vitest";
import {
  type PerformanceByType,
  typicalMs,
  withCompletion,
  withTaskFailure,
} from "../../../src/domain/task-type-performance.ts";

describe("performance", () => {
  it("is the mean of few durations, and follows recent ones once there are many", () => {
    let performance: PerformanceByType = {};
    for (const tookMs of [100, 200, 300]) {
      performance = withCompletion(performance, { type: "resize", tookMs }, 0);
    }
    expect(performance.resize).toMatchObject({ meanMs: 200, samples: 3 });
    for (let count = 0; count < 100; count++) {
      performance = withCompletion(performance, { type: "resize", tookMs: 1000 }, 0);
    }
    expect(performance.resize?.meanMs).toBeGreaterThan(990);
  });

  it("counts failures apart from durations", () => {
    const performance = withTaskFailure({}, "resize", 0);
    expect(performance.resize).toMatchObject({ samples: 0, reliability: { goodWeight: 0, badWeight: 1 } });
  });

  it("is stored for 64 types; the one that was not seen for longest is dropped", () => {
    let performance: PerformanceByType = {};
    for (let index = 0; index < 65; index++) {
      performance = withCompletion(performance, { type: `type-${index}`, tookMs: 1 }, index);
    }
    expect(Object.keys(performance)).toHaveLength(64);
    expect(performance["type-0"]).toBeUndefined();
    expect(performance["type-64"]).toBeDefined();
  });

  it("is typical over agents in proportion to their samples", () => {
    const of = (meanMs: number, samples: number) => ({
      reliability: { goodWeight: 0, badWeight: 0, atMs: 0 },
      meanMs,
      samples,
    });
    expect(typicalMs([of(100, 3), undefined, of(500, 1)])).toBe(200);
    expect(typicalMs([of(0, 0), undefined])).toBeNull();
  });
});
