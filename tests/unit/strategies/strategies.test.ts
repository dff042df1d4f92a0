/**
 * The strategies. The first part holds for every strategy in the registry: a new one is tested by
 * being registered.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Config, defaultConfig } from "../../../src/contract/config.ts";
import { reliabilityOf } from "../../../src/domain/reliability.ts";
import { backupAgent } from "../../../src/strategies/backup-agent.ts";
import { basic } from "../../../src/strategies/basic.ts";
import { decide as decideIn, replay, weightedSum } from "../../../src/strategies/decide.ts";
import { hardExclusion } from "../../../src/strategies/eligibility.ts";
import { failover } from "../../../src/strategies/failover.ts";
import { STRATEGIES } from "../../../src/strategies/registry.ts";
import type {
  Candidate,
  DecisionContext,
  PlaceableTask,
  Strategy,
} from "../../../src/strategies/strategy.ts";
import { cases } from "../../support/cases.ts";
import { historyOf } from "../../support/records.ts";

const NOW_MS = 1_000_000;
const RUNS = cases(150, 1000);

function candidate(
  id: string,
  { reliability = 0.9, ...overrides }: Partial<Candidate> & { reliability?: number } = {},
): Candidate {
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
    reliabilityHistory: historyOf(reliability, NOW_MS),
    load: null,
    performance: {},
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
    strategy: basic,
    nowMs: NOW_MS,
    config: defaultConfig().failover_config,
    fromAgent: null,
    typicalMs: null,
    ...overrides,
  };
}

/** A decision of this strategy, in the given context. */
function decide(
  strategy: Strategy,
  given: PlaceableTask,
  candidates: Iterable<Candidate>,
  around: DecisionContext,
) {
  return decideIn(given, candidates, { ...around, strategy });
}

const IDS = Array.from({ length: 12 }, (_, index) => `agent-${index}`);
const TYPES = ["resize", "translate"];
const PRACTISED = {
  resize: { reliability: { goodWeight: 8, badWeight: 2, atMs: NOW_MS }, meanMs: 2000, samples: 8 },
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
    reliabilityHistory: fc
      .double({ min: 0, max: 1, noNaN: true })
      .map((reliability) => historyOf(reliability, NOW_MS)),
    load: fc.constantFrom(null, { cpu: 0.5, memory: 0.5 }),
    performance: fc.constantFrom({}, PRACTISED),
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
    it("chooses an eligible agent if there is one, and none otherwise", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const verdict = decide(strategy, given, candidates, context());
          const eligible = candidates.filter((one) => hardExclusion(given, one) === null);
          if (eligible.length === 0) expect(verdict.selected).toBeNull();
          else expect(eligible.map(({ id }) => id)).toContain(verdict.selected);
        }),
        RUNS,
      );
    });

    it("does not depend on the order of candidates", () => {
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
        RUNS,
      );
    });

    it("does not depend on agents that cannot take the task", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, anyCandidate("stranger"), (candidates, given, stranger) => {
          fc.pre(hardExclusion(given, stranger) !== null);
          const without = decide(strategy, given, candidates, context());
          const withStranger = decide(strategy, given, [...candidates, stranger], context());
          expect(withStranger.selected).toBe(without.selected);
          expect(withStranger.candidates).toEqual(without.candidates);
        }),
        RUNS,
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
        RUNS,
      );
    });

    it("lists every candidate, as compared or with the reason for its exclusion", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const { candidateCount, excludedCounts, excluded } = decide(strategy, given, candidates, context());
          const excludedCount = Object.values(excludedCounts).reduce((sum, count) => sum + count, 0);
          expect(candidateCount + excludedCount).toBe(candidates.length);
          expect(excluded).toHaveLength(Math.min(20, excludedCount));
        }),
        RUNS,
      );
    });

    it("never ranks an agent lower for being better in one factor and equal in all others", () => {
      fc.assert(
        fc.property(anyTask, anyCandidate("a"), (given, one) => {
          fc.pre(hardExclusion(given, one) === null && one.maxConcurrentTasks > 1);
          const fromAgent = "gone";
          const reliability = reliabilityOf(one.reliabilityHistory, NOW_MS);
          const better: Partial<Candidate>[] = [
            { openTasks: Math.max(0, one.openTasks - 1) },
            { reliabilityHistory: historyOf(Math.min(1, reliability + 0.1), NOW_MS) },
            { load: { cpu: 0, memory: 0 } },
            {
              performance: {
                [given.type]: {
                  reliability: { goodWeight: 50, badWeight: 0, atMs: NOW_MS },
                  meanMs: 100,
                  samples: 50,
                },
              },
            },
          ];
          const plain = {
            ...one,
            load: { cpu: 0.5, memory: 0.5 },
            cooldownUntilMs: null,
            silentUntilMs: null,
          };
          const scoreOf = (candidate: Candidate) =>
            decide(
              strategy,
              { ...given, previousAgents: [] },
              [candidate],
              context({ fromAgent, typicalMs: 1000 }),
            ).candidates[0]?.score ?? Number.NaN;
          for (const advantage of better) {
            expect(scoreOf({ ...plain, ...advantage })).toBeGreaterThanOrEqual(scoreOf(plain));
          }
        }),
        RUNS,
      );
    });

    it("chooses the same again when its decision is replayed over the candidates that it shows", () => {
      fc.assert(
        fc.property(someCandidates, anyTask, (candidates, given) => {
          const verdict = decide(strategy, given, candidates, context());
          expect(replay(given.id, verdict.candidates, verdict.weights)).toBe(verdict.selected);
        }),
        RUNS,
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

describe("every strategy excludes", () => {
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
  ] as const)("an agent that is %s, always", (reason, agent, wish) => {
    const verdict = chosen([candidate("a", agent)], task(wish));
    expect(verdict.selected).toBeNull();
    expect(verdict.excludedCounts).toEqual({ [reason]: 1 });
    expect(verdict.excluded[0]).toMatchObject({ agentId: "a", reason });
  });

  it("an agent that failed lately, while another exists", () => {
    const failedLately = candidate("a", { cooldownUntilMs: NOW_MS + 180_000 });
    const busy = candidate("b", { openTasks: 9 });
    const verdict = chosen([failedLately, busy]);
    expect(verdict.selected).toBe("b");
    expect(verdict.excluded).toEqual([
      { agentId: "a", reason: "cooling_down", detail: "it failed lately and cools down for another 180 s" },
    ]);
  });

  it("no agent that failed lately when it is the only candidate, and says so", () => {
    const verdict = chosen([
      candidate("a", { cooldownUntilMs: NOW_MS + 1000, openTasks: 5 }),
      candidate("b", { cooldownUntilMs: NOW_MS + 1000 }),
    ]);
    expect(verdict.selected).toBe("b");
    expect(verdict.explanation).toContain("taken although cooling down after a failure");
  });

  it("an agent that misses heartbeats, while another exists", () => {
    const silent = candidate("a", { silentUntilMs: NOW_MS + 500 });
    const verdict = chosen([silent, candidate("b", { openTasks: 9 })]);
    expect(verdict.selected).toBe("b");
    expect(verdict.excludedCounts).toEqual({ silent: 1 });
    expect(verdict.explanation).toContain("passed over: 1 silent");
    expect(chosen([silent]).explanation).toContain(
      "a takes t (resize): the only candidate; taken although silent",
    );
  });

  it("an agent with a broken socket as `suspect`, and one that misses heartbeats as `silent`", () => {
    const verdict = chosen([
      candidate("broken", { status: "suspect" }),
      candidate("quiet", { silentUntilMs: NOW_MS + 500 }),
      candidate("free"),
    ]);
    expect(verdict.excluded).toEqual([
      { agentId: "broken", reason: "suspect", detail: "its socket broke" },
      { agentId: "quiet", reason: "silent", detail: "it has missed heartbeats and may be dead" },
    ]);
  });

  it("an agent that had the task before, while another exists", () => {
    const verdict = chosen(
      [candidate("a"), candidate("b", { openTasks: 9 })],
      task({ previousAgents: ["a"] }),
    );
    expect(verdict.selected).toBe("b");
  });

  it("no earlier holder when it is the only candidate, and says so", () => {
    const verdict = chosen([candidate("a")], task({ previousAgents: ["a"] }));
    expect(verdict.selected).toBe("a");
    expect(verdict.explanation).toContain("tried before");
  });

  it("no unknown agent: without agents it says that none is registered", () => {
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

  it("takes no backup that is not eligible", () => {
    const agents = [candidate("first", { status: "inactive" }), candidate("idle")];
    expect(decide(basic, task(), agents, backups({ dead: ["first"] })).selected).toBe("idle");
  });

  it("takes the least loaded agent for its size when there is no backup", () => {
    const agents = [
      candidate("small", { openTasks: 1, maxConcurrentTasks: 2 }),
      candidate("large", { openTasks: 4, maxConcurrentTasks: 100 }),
    ];
    expect(decide(basic, task(), agents, context()).selected).toBe("large");
  });

  it("spreads tasks over equal agents", () => {
    const agents = Array.from({ length: 10 }, (_, index) => candidate(`agent-${index}`));
    const counts = new Map<string | null, number>();
    for (let index = 0; index < 1000; index++) {
      const { selected } = decide(basic, task({ id: `t-${index}` }), agents, context());
      counts.set(selected, (counts.get(selected) ?? 0) + 1);
    }
    expect(counts.size).toBe(10);
    expect(Math.max(...counts.values())).toBeLessThan(200);
  });

  it("is correct for agents named like properties of every object", () => {
    expect(decide(basic, task(), [candidate("a")], context({ fromAgent: "constructor" })).selected).toBe("a");
  });
});

describe("failover", () => {
  const agents = [
    candidate("reliable", { reliability: 0.98, openTasks: 5 }),
    candidate("idle", { reliability: 0.82, openTasks: 0 }),
  ];
  const choose = (priority: number, among = agents, given = context()) =>
    decide(failover, task({ priority }), among, given).selected;

  it("gives a high-priority task to the most reliable capable agent even when that agent is busier", () => {
    expect(choose(9)).toBe("reliable");
  });

  it("gives a low-priority task to the least loaded agent", () => {
    expect(choose(1)).toBe("idle");
    expect(
      choose(1, [
        candidate("reliable", { reliability: 1, openTasks: 1 }),
        candidate("idle", { reliability: 0.3 }),
      ]),
    ).toBe("idle");
  });

  it("gives a medium task to an agent that does the type well and has room", () => {
    const good = {
      resize: { reliability: { goodWeight: 20, badWeight: 0, atMs: NOW_MS }, meanMs: 1000, samples: 20 },
    };
    const poor = {
      resize: { reliability: { goodWeight: 5, badWeight: 15, atMs: NOW_MS }, meanMs: 1000, samples: 5 },
    };
    expect(
      choose(5, [
        candidate("poor and idle", { performance: poor }),
        candidate("good with room", { performance: good, openTasks: 2 }),
        candidate("good and full", { performance: good, openTasks: 9 }),
      ]),
    ).toBe("good with room");
  });

  it("avoids an agent that failed two minutes ago while another exists", () => {
    const failedLately = candidate("failed", { cooldownUntilMs: NOW_MS + 180_000, reliability: 1 });
    expect(choose(9, [failedLately, candidate("other", { reliability: 0.81 })])).toBe("other");
  });

  it("keeps high-priority tasks from an agent below the reliability threshold, while another can", () => {
    const shaky = candidate("shaky", { reliability: 0.79 });
    const verdict = decide(
      failover,
      task({ priority: 9 }),
      [shaky, candidate("sound", { reliability: 0.8, openTasks: 9 })],
      context(),
    );
    expect(verdict.selected).toBe("sound");
    expect(verdict.excludedCounts).toEqual({ below_reliability_threshold: 1 });
    const alone = decide(failover, task({ priority: 9 }), [shaky], context());
    expect(alone.selected).toBe("shaky");
    expect(alone.explanation).toContain("below the reliability threshold");
    expect(choose(7, [shaky, candidate("sound", { reliability: 0.8, openTasks: 9 })])).toBe("shaky");
  });

  it("estimates reliability for the time of the decision: old failures fade", () => {
    const failedOnce = candidate("a", { reliabilityHistory: { goodWeight: 0, badWeight: 3, atMs: NOW_MS } });
    const sound = candidate("b", { openTasks: 9 });
    const excludedAt = (nowMs: number) =>
      decide(failover, task({ priority: 9 }), [failedOnce, sound], context({ nowMs })).excludedCounts;
    expect(excludedAt(NOW_MS)).toEqual({ below_reliability_threshold: 1 });
    expect(excludedAt(NOW_MS + 30 * 86_400_000)).toEqual({});
  });

  it("prefers the faster of two equal agents, and takes an agent without durations for typical", () => {
    const took = (meanMs: number) => ({
      resize: { reliability: { goodWeight: 10, badWeight: 0, atMs: NOW_MS }, meanMs, samples: 10 },
    });
    const given = context({ typicalMs: 1000 });
    expect(
      choose(
        5,
        [candidate("slow", { performance: took(4000) }), candidate("fast", { performance: took(500) })],
        given,
      ),
    ).toBe("fast");
  });

  it("uses configured weights", () => {
    const config = {
      ...defaultConfig().failover_config,
      weights: { high: { reliability: 0, capability: 0, load: 1, performance: 0 }, medium: null, low: null },
    };
    expect(choose(9, agents, context({ config }))).toBe("idle");
    expect(decide(failover, task({ priority: 9 }), agents, context({ config })).weights).toEqual(
      config.weights.high,
    );
  });

  it("uses its own weights for the factors that the configuration does not name", () => {
    const { failover_config } = Config.parse({ failover_config: { weights: { high: { load: 0.9 } } } });
    const verdict = decide(failover, task({ priority: 9 }), agents, context({ config: failover_config }));
    expect(verdict.weights).toEqual({ reliability: 0.7, capability: 0.15, load: 0.9, performance: 0.1 });
  });

  it("prefers backups named for the task or for the failed agent at a failover, and not at the first assignment", () => {
    const named = task({ priority: 9, backups: ["idle"], hasOwnBackups: true });
    expect(decide(failover, named, agents, context()).selected).toBe("reliable");
    expect(decide(failover, named, agents, context({ fromAgent: "gone" })).selected).toBe("idle");
    const config = { ...defaultConfig().failover_config, backup_agents: { gone: "idle" } };
    expect(
      decide(failover, task({ priority: 9 }), agents, context({ fromAgent: "gone", config })).selected,
    ).toBe("idle");
  });
});

describe("backup_agent", () => {
  const agents = ["a", "b", "c", "d"].map((id, index) => candidate(id, { reliability: 0.99 - index * 0.01 }));

  it("names the next best agents as backups when it places a task", () => {
    const verdict = decide(backupAgent, task({ priority: 9 }), agents, context());
    expect([verdict.selected, ...verdict.runnersUp]).toEqual(["a", "b", "c"]);
  });

  it("takes the first eligible agent of the list", () => {
    const listed = task({ priority: 9, backups: ["d", "c", "b"] });
    const given = context({ fromAgent: "a" });
    expect(decide(backupAgent, listed, agents.slice(1), given).selected).toBe("d");
    expect(decide(backupAgent, listed, agents.slice(1, 3), given).selected).toBe("c");
  });

  it("puts the configured backups of the failed agent before ranked ones", () => {
    const config = { ...defaultConfig().failover_config, backup_agents: { a: ["d"] } };
    const listed = task({ backups: ["b", "c"] });
    expect(decide(backupAgent, listed, agents.slice(1), context({ fromAgent: "a", config })).selected).toBe(
      "d",
    );
    const byHand = task({ backups: ["b", "c"], hasOwnBackups: true });
    expect(decide(backupAgent, byHand, agents.slice(1), context({ fromAgent: "a", config })).selected).toBe(
      "b",
    );
  });
});
