/** The command of the benchmarks, without running any: figures depend on the machine and belong in no test. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { figure, isMet } from "../../benchmarks/benchmark.ts";
import { BENCHMARKS } from "../../benchmarks/registry.ts";

const COMMAND = join(import.meta.dirname, "..", "..", "benchmarks", "run.ts");
const run = (...words: string[]) => spawnSync(process.execPath, [COMMAND, ...words], { encoding: "utf8" });

describe("npm run bench", () => {
  it("lists the benchmarks", () => {
    const { status, stdout } = run("--help");
    expect(status).toBe(0);
    for (const { name, summary } of BENCHMARKS) {
      expect(stdout).toContain(name);
      expect(stdout).toContain(summary);
    }
  });

  it("refuses an unknown name before any benchmark runs", () => {
    const { status, stdout, stderr } = run("strategies", "strategy");
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain('"strategy"');
    expect(stderr).not.toContain("running");
  });
});

describe("a benchmark", () => {
  it("has a unique name and a summary", () => {
    expect(BENCHMARKS.map(({ name }) => name)).toEqual([
      "strategies",
      "http",
      "failover",
      "notifications",
      "command",
    ]);
    for (const { summary } of BENCHMARKS) expect(summary).not.toBe("");
  });

  it("compares each round with the baseline of that round, and the median with the bound", () => {
    const values = {
      what: "work",
      unit: "ms",
      values: [3, 40, 4],
      baseline: { what: "none", values: [1, 10, 2] },
    };
    const kept = figure({ ...values, bound: { on: "ratio", atMost: 3 } });
    expect(kept.ratio).toEqual({ median: 3, min: 2, max: 4 });
    expect(isMet(kept)).toBe(true);
    expect(isMet(figure({ ...values, bound: { on: "value", atMost: 3 } }))).toBe(false);
  });
});
