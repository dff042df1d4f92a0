/**
 * Choosing the next agent. The first part holds for every strategy in the registry: a new one
 * is held to it by being registered.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultConfig } from "../../src/contract/config.ts";
import { basic } from "../../src/strategies/basic.ts";
import { decide, weightedSum } from "../../src/strategies/decide.ts";
import { hardExclusion } from "../../src/strategies/eligibility.ts";
import { STRATEGIES } from "../../src/strategies/registry.ts";
import type { Candidate, DecisionContext, PlaceableTask, Strategy } from "../../src/strategies/strategy.ts";

const NOW_MS = 1_000_000;
const RUNS = 1000;

function candidate(id: string, overrides: Partial<Candidate> = {}): Candidate {
  return {
    id,
    group: "default",
    status: "active",
    capabilities: ["resize"],
    labels: {},
    maxConcurrentTasks: 10,
    openTasks: 0,
    cooldownUntilMs: null,
    silentUntilMs: null,
    reliability: 0.9,
    load: null,
    experience: {},
    ...overrides,
  };
}

function task(overrides: Partial<PlaceableTask> = {}): PlaceableTask {
  return {
    id: "t",
    type: "resize",
    priority: 5,
    group: null,
    requiredLabels: {},
    previousAgents: [],
    backups: [],
    hasOwnBackups: false,
    ...overrides,
  };
}

function context(overrides: Partial<DecisionContext> = {}): DecisionContext {
  return {
    nowMs: NOW_MS,
    config: defaultConfig().failover_config,
    fromAgent: null,
    typicalMs: null,
    ...overrides,
  };
}

const IDS = Array.from({ length: 12 }, (_, index) => `agent-${index}`);
const TYPES = ["resize", "translate"];
const PRACTISED = {
  resize: { track: { goodWeight: 8, badWeight: 2, atMs: NOW_MS }, meanMs: 2000, samples: 8 },
};

const anyCandidate = (id: string): fc.Arbitrary<Candidate> =>
  fc.record({
    id: fc.constant(id),
    group: fc.constantFrom("north", "south"),
    status: fc.constantFrom(
      "active" as const,
      "active" as const,
      "suspect" as const,
      "draining" as const,
      "inactive" as const,
    ),
    capabilities: fc.subarray(TYPES),
    labels: fc.constantFrom({}, { zone: "a" }, { zone: "b" }),
    maxConcurrentTasks: fc.integer({ min: 1, max: 20 }),
    openTasks: fc.integer({ min: 0, max: 22 }),
    cooldownUntilMs: fc.constantFrom(null, NOW_MS - 1, NOW_MS + 60_000),
    silentUntilMs: fc.constantFrom(null, NOW_MS - 1, NOW_MS + 500),
    reliability: fc.double({ min: 0, max: 1, noNaN: true }),
    load: fc.constantFrom(null, { cpu: 0.5, memory: 0.5 }),
    experience: fc.constantFrom({}, PRACTISED),
  });

const someCandidates = fc
  .subarray(IDS)
  .chain((ids) => fc.tuple(...ids.map(anyCandidate)))
  .map((candidates): Candidate[] => [...candidates]);

const anyTask = fc.record({
  id: fc.constantFrom("t1", "t2", "t3"),
  type: fc.constantFrom(...TYPES),
  priority: fc.integer({ min: 0, max: 10 }),
  group: fc.constantFrom(null, null, "north"),
  requiredLabels: fc.constantFrom({}, {}, { zone: "a" }),
  previousAgents: fc.subarray(IDS, { maxLength: 3 }),
  backups: fc.subarray(IDS, { maxLength: 3 }),
  hasOwnBackups: fc.boolean(),
});

describe.each(STRATEGIES.map((strategy) => [strategy.name, strategy] as const))(
  "every strategy: %s",
  (_, strategy: Strategy) => {
    it("chooses somebody eligible if there is anybody, and nobody otherwise", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const verdict = decide(strategy, given, candidates, context());
          const eligible = candidates.filter((one) => hardExclusion(given, one) === null);
          if (eligible.length === 0) expect(verdict.selected).toBeNull();
          else expect(eligible.map(({ id }) => id)).toContain(verdict.selected);
        }),
        { numRuns: RUNS },
      );
    });

    it("does not care for the order of candidates", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, fc.infiniteStream(fc.nat()), (candidates, given, chance) => {
          const shuffled = candidates
            .map((one) => ({ one, key: chance.next().value }))
            .sort((a, b) => a.key - b.key)
            .map(({ one }) => one);
          expect(decide(strategy, given, shuffled, context())).toEqual(
            decide(strategy, given, candidates, context()),
          );
        }),
        { numRuns: RUNS },
      );
    });

    it("is not swayed by somebody who cannot take the task", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, anyCandidate("stranger"), (candidates, given, stranger) => {
          fc.pre(hardExclusion(given, stranger) !== null);
          const without = decide(strategy, given, candidates, context());
          const withStranger = decide(strategy, given, [...candidates, stranger], context());
          expect(withStranger.selected).toBe(without.selected);
          expect(withStranger.candidates).toEqual(without.candidates);
        }),
        { numRuns: RUNS },
      );
    });

    it("shows factors in 0 to 1, and scores that are their weighted sums, best first", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const { candidates: shown, weights, selected } = decide(strategy, given, candidates, context());
          for (const { score, factors } of shown) {
            for (const factor of Object.values(factors)) {
              expect(factor).toBeGreaterThanOrEqual(0);
              expect(factor).toBeLessThanOrEqual(1);
            }
            expect(score).toBeCloseTo(weightedSum(factors, weights), 12);
          }
          const scores = shown.map(({ score }) => score);
          expect(scores).toEqual([...scores].sort((a, b) => b - a));
          expect(shown[0]?.agentId ?? null).toBe(selected);
          expect(shown.length).toBeLessThanOrEqual(5);
        }),
        { numRuns: RUNS },
      );
    });

    it("accounts for every candidate, as one of those compared or by the reason it was not", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const { candidateCount, excludedCounts, excluded } = decide(strategy, given, candidates, context());
          const excludedCount = Object.values(excludedCounts).reduce((sum, count) => sum + count, 0);
          expect(candidateCount + excludedCount).toBe(candidates.length);
          expect(excluded).toHaveLength(Math.min(20, excludedCount));
        }),
        { numRuns: RUNS },
      );
    });

    it("explains every decision in a sentence", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const { explanation, selected } = decide(strategy, given, candidates, context());
          expect(explanation).toMatch(/^\S.*\.$/);
          if (selected !== null) expect(explanation).toContain(selected);
        }),
      );
    });
  },
);

describe("whom every strategy passes over", () => {
  const chosen = (candidates: Candidate[], given = task(), given2 = context()) =>
    decide(basic, given, candidates, given2);

  it.each([
    ["inactive", { status: "inactive" }, {}],
    ["suspect", { status: "suspect" }, {}],
    ["draining", { status: "draining" }, {}],
    ["missing_capability", { capabilities: ["translate"] }, {}],
    ["missing_label", { labels: { zone: "b" } }, { requiredLabels: { zone: "a" } }],
    ["other_group", { group: "south" }, { group: "north" }],
    ["at_capacity", { openTasks: 10 }, {}],
  ] as const)("whoever is %s, always", (reason, agent, wish) => {
    const verdict = chosen([candidate("a", agent)], task(wish));
    expect(verdict.selected).toBeNull();
    expect(verdict.excludedCounts).toEqual({ [reason]: 1 });
    expect(verdict.excluded[0]).toMatchObject({ agentId: "a", reason });
  });

  it("whoever failed lately, while another exists", () => {
    const failedLately = candidate("a", { cooldownUntilMs: NOW_MS + 180_000 });
    const busy = candidate("b", { openTasks: 9 });
    const verdict = chosen([failedLately, busy]);
    expect(verdict.selected).toBe("b");
    expect(verdict.excluded).toEqual([
      { agentId: "a", reason: "cooling_down", detail: "it failed lately and cools down for another 180 s" },
    ]);
  });

  it("but takes the best of those who failed lately when there is nobody else, and says so", () => {
    const verdict = chosen([
      candidate("a", { cooldownUntilMs: NOW_MS + 1000, openTasks: 5 }),
      candidate("b", { cooldownUntilMs: NOW_MS + 1000 }),
    ]);
    expect(verdict.selected).toBe("b");
    expect(verdict.explanation).toContain("all who are left are cooling down after a failure");
  });

  it("whoever misses heartbeats, while another exists", () => {
    const silent = candidate("a", { silentUntilMs: NOW_MS + 500 });
    const verdict = chosen([silent, candidate("b", { openTasks: 9 })]);
    expect(verdict.selected).toBe("b");
    expect(verdict.excludedCounts).toEqual({ suspect: 1 });
    expect(chosen([silent]).selected).toBe("a");
  });

  it("whoever had the task before, while another exists", () => {
    const verdict = chosen(
      [candidate("a"), candidate("b", { openTasks: 9 })],
      task({ previousAgents: ["a"] }),
    );
    expect(verdict.selected).toBe("b");
  });

  it("but takes an earlier holder when there is nobody else, and says so", () => {
    const verdict = chosen([candidate("a")], task({ previousAgents: ["a"] }));
    expect(verdict.selected).toBe("a");
    expect(verdict.explanation).toContain("tried before");
  });

  it("nobody it does not know: without agents it says that none is registered", () => {
    expect(chosen([]).explanation).toContain("no agent is registered");
  });
});

describe("basic", () => {
  const backups = (map: Record<string, string | string[]>) =>
    context({ fromAgent: "dead", config: { ...defaultConfig().failover_config, backup_agents: map } });

  it("takes the designated backups of the failed agent in order, however busy they are", () => {
    const agents = [candidate("idle"), candidate("first", { openTasks: 9 }), candidate("second")];
    expect(decide(basic, task(), agents, backups({ dead: ["first", "second"] })).selected).toBe("first");
    expect(decide(basic, task(), agents, backups({ dead: ["gone", "second", "first"] })).selected).toBe(
      "second",
    );
    expect(decide(basic, task(), agents, backups({ dead: "second" })).selected).toBe("second");
  });

  it("asks nobody who is not eligible, designated or not", () => {
    const agents = [candidate("first", { status: "inactive" }), candidate("idle")];
    expect(decide(basic, task(), agents, backups({ dead: ["first"] })).selected).toBe("idle");
  });

  it("else takes who is least loaded for its size", () => {
    const agents = [
      candidate("small", { openTasks: 1, maxConcurrentTasks: 2 }),
      candidate("large", { openTasks: 4, maxConcurrentTasks: 100 }),
    ];
    expect(decide(basic, task(), agents, context()).selected).toBe("large");
  });

  it("spreads tasks over equals", () => {
    const agents = Array.from({ length: 10 }, (_, index) => candidate(`agent-${index}`));
    const counts = new Map<string | null, number>();
    for (let index = 0; index < 1000; index++) {
      const { selected } = decide(basic, task({ id: `t-${index}` }), agents, context());
      counts.set(selected, (counts.get(selected) ?? 0) + 1);
    }
    expect(counts.size).toBe(10);
    expect(Math.max(...counts.values())).toBeLessThan(200);
  });

  it("is not led astray by agents named like properties of every object", () => {
    expect(decide(basic, task(), [candidate("a")], context({ fromAgent: "constructor" })).selected).toBe("a");
  });
});
