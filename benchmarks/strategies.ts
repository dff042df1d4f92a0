/**
 * The cost of a decision: one among a thousand agents, as the coordinator makes it, and whether the cost of
 * a moved task grows with the number of tasks of the failed agent.
 */
import { DatabaseSync } from "node:sqlite";
import { Config } from "../src/contract/config.ts";
import type { AgentRecord } from "../src/domain/agent.ts";
import { AgentRegistry } from "../src/services/coordinator/agents/agent-registry.ts";
import { COORDINATOR_MIGRATIONS } from "../src/storage/coordinator/schema.ts";
import { migrate } from "../src/storage/migrations.ts";
import { decide } from "../src/strategies/decide.ts";
import { STRATEGIES } from "../src/strategies/registry.ts";
import type { DecisionContext, PlaceableTask, Strategy } from "../src/strategies/strategy.ts";
import { NodeSql } from "../tests/support/simulation/node-sql.ts";
import { Random } from "../tests/support/simulation/random.ts";
import { type Benchmark, type Figure, figure, median } from "./benchmark.ts";
import { CoordinatorAlone } from "./coordinator-alone.ts";

const NOW_MS = Date.UTC(2026, 0, 1);
const CANDIDATES = 1000;
/** The bound: one decision among a thousand agents takes less than a millisecond. */
const DECISION_BOUND_US = 1000;
const DECISIONS_A_ROUND = 300;
const ROUNDS = 7;

const FAILOVER_CONFIG = Config.parse({}).failover_config;
const TYPES = ["resize", "crop", "encode", "index", "mail"];

const FEW_TASKS = 100;
const MANY_TASKS = 10_000;
/** The bound: a task of ten thousand costs at most this many times as much as one of a hundred. */
const GROWTH_BOUND = 1.5;
const HEIRS = 50;
/** Free slots for one and a half times the tasks. */
const SLOTS = (1.5 * MANY_TASKS) / HEIRS;
const FAILOVER_ROUNDS = 5;
/** Both sides of the ratio are means over thousands of tasks, with the same disturbances. */
const FEW_REPEATS = 50;

export const strategies: Benchmark = {
  name: "strategies",
  summary: "one decision among 1,000 agents, and a failover of 10,000 tasks against 100",
  measure: async () => [...decisions(), await growth()],
};

type Case = { what: string; strategy: Strategy; registry: AgentRegistry };

function decisions(): Figure[] {
  const free = registryOf(() => true);
  const halfFull = registryOf((index) => index % 2 === 0);
  const full = registryOf(() => false);
  const cases: Case[] = [
    ...STRATEGIES.map((strategy) => ({ what: strategy.name, strategy, registry: free })),
    ...STRATEGIES.filter(({ name }) => name === "failover").flatMap((strategy) => [
      { what: "failover, half of them full", strategy, registry: halfFull },
      { what: "failover, all of them full", strategy, registry: full },
    ]),
  ];
  const rounds = Array.from({ length: ROUNDS }, () => ({
    loopUs: medianUs((index) => plainLoop(free, index)),
    caseUs: cases.map(({ strategy, registry }) =>
      medianUs((index) => oneDecision(strategy, registry, index)),
    ),
  }));
  // The first round is a warm-up.
  const counted = rounds.slice(1);
  return cases.map(({ what }, place) =>
    figure({
      what: `a decision, ${what}`,
      unit: "µs",
      values: counted.map(({ caseUs }) => caseUs[place] ?? Number.NaN),
      baseline: { what: "a multiplication for each agent", values: counted.map(({ loopUs }) => loopUs) },
      bound: { on: "value", atMost: DECISION_BOUND_US },
    }),
  );
}

function medianUs(work: (index: number) => unknown): number {
  const timesUs = Array.from({ length: DECISIONS_A_ROUND }, (_, index) => {
    const startMs = performance.now();
    const result = work(index);
    const tookUs = (performance.now() - startMs) * 1000;
    // An unused result might not be computed.
    if (result === undefined) throw new Error("there is no result");
    return tookUs;
  });
  return median(timesUs);
}

/** The work of a coordinator to place a task, without storing the decision. */
function oneDecision(strategy: Strategy, registry: AgentRegistry, index: number): unknown {
  const task = taskOf(index);
  const context: DecisionContext = {
    strategy,
    nowMs: NOW_MS,
    config: FAILOVER_CONFIG,
    fromAgent: "agent-1",
    typicalMs: registry.typicalMs(task.type),
  };
  return decide(task, registry.candidates(), context);
}

function plainLoop(registry: AgentRegistry, index: number): number {
  let sum = 0;
  for (const candidate of registry.candidates()) {
    sum += candidate.openTasks * index;
  }
  return sum;
}

function taskOf(index: number): PlaceableTask {
  return {
    id: `task-${index}`,
    type: TYPES[index % TYPES.length] ?? "",
    priority: index % 11,
    group: null,
    requiredLabels: {},
    previousAgents: ["agent-1"],
    backups: ["agent-2", "agent-3"],
    hasOwnBackups: false,
  };
}

/** A thousand agents, all different, each able to run every task. */
function registryOf(isFree: (index: number) => boolean): AgentRegistry {
  const sql = new NodeSql(new DatabaseSync(":memory:"));
  migrate(sql, COORDINATOR_MIGRATIONS);
  const registry = new AgentRegistry(sql);
  const random = new Random(1);
  for (let index = 0; index < CANDIDATES; index++) {
    const agent = agentOf(index, random);
    registry.save(agent);
    const openTasks = isFree(index) ? Math.floor(random.between(0, 10)) : agent.maxConcurrentTasks;
    for (let open = 0; open < openTasks; open++) registry.countOpenTask(agent.id, 1);
  }
  return registry;
}

function agentOf(index: number, random: Random): AgentRecord {
  const historyOf = () => ({
    goodWeight: random.between(0, 100),
    badWeight: random.between(0, 10),
    atMs: NOW_MS - random.between(0, 86_400_000),
  });
  const performanceOf = () => ({
    reliability: historyOf(),
    meanMs: random.between(100, 10_000),
    samples: Math.floor(random.between(1, 100)),
  });
  return {
    id: `agent-${index}`,
    group: `group-${index % 10}`,
    type: "worker",
    capabilities: TYPES,
    endpoint: null,
    labels: { zone: `zone-${index % 3}` },
    maxConcurrentTasks: 20,
    heartbeatIntervalMs: 10_000,
    heartbeatTimeoutMs: 30_000,
    hasOwnTimeout: false,
    status: "active",
    drain: null,
    incarnation: index + 1,
    registeredAtMs: NOW_MS,
    registeredBy: "admin",
    lastHeartbeatAtMs: NOW_MS,
    isLeaving: false,
    cooldownUntilMs: random.chance(0.1) ? NOW_MS + 60_000 : null,
    failureCount: 0,
    tasksCompleted: 0,
    tasksFailed: 0,
    taskMsTotal: 0,
    load: { cpu: random.next(), memory: random.next() },
    reliabilityHistory: historyOf(),
    performance: Object.fromEntries(TYPES.map((type) => [type, performanceOf()])),
    instance: null,
    replaced: null,
    conflictUntilMs: null,
  };
}

async function growth(): Promise<Figure> {
  // Warm-up.
  await usPerTask(FEW_TASKS, FEW_REPEATS);
  const rounds: { manyUs: number; fewUs: number }[] = [];
  for (let round = 0; round < FAILOVER_ROUNDS; round++) {
    rounds.push({
      fewUs: await usPerTask(FEW_TASKS, FEW_REPEATS),
      manyUs: await usPerTask(MANY_TASKS, 1),
    });
  }
  return figure({
    what: `moving each of ${MANY_TASKS.toLocaleString("en-US")} tasks over ${HEIRS} agents`,
    unit: "µs",
    values: rounds.map(({ manyUs }) => manyUs),
    baseline: { what: `each of ${FEW_TASKS} tasks`, values: rounds.map(({ fewUs }) => fewUs) },
    bound: { on: "ratio", atMost: GROWTH_BOUND },
  });
}

/** The mean over several failovers, each in a cluster of its own. */
async function usPerTask(taskCount: number, repeats: number): Promise<number> {
  let spentMs = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    using alone = new CoordinatorAlone();
    await alone.register("dead", MANY_TASKS);
    alone.submit(taskCount);
    for (let heir = 0; heir < HEIRS; heir++) await alone.register(`heir-${heir}`, SLOTS);
    spentMs += await alone.failOver("dead");
    const left = alone.tasksOf("dead");
    if (left > 0) throw new Error(`${left} tasks were not moved`);
  }
  return (spentMs * 1000) / (taskCount * repeats);
}
