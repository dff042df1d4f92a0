/**
 * The numbers in docs/strategies.md are those of the product: every worked example is decided again from its table
 * of
 * agents, and the decision shown there is replayed.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Config, defaultConfig } from "../../src/contract/config.ts";
import { Decision, EXCLUSION_REASONS } from "../../src/contract/placement/decision.ts";
import { newHistory, type ReliabilityEvent, reliabilityOf, withEvent } from "../../src/domain/reliability.ts";
import { type TypePerformance, typicalMs } from "../../src/domain/task-type-performance.ts";
import { decide, replay, weightedSum } from "../../src/strategies/decide.ts";
import { DEFAULT_WEIGHTS, failover } from "../../src/strategies/failover.ts";
import { STRATEGIES, strategyFor } from "../../src/strategies/registry.ts";
import type { Candidate, PlaceableTask, SoftReason, Verdict } from "../../src/strategies/strategy.ts";
import { parseConfigFile } from "../../src/validation/configuration/config-file.ts";
import { fencedBlocks, inlineCode } from "../support/markdown.ts";
import { historyOf } from "../support/records.ts";

const PAGE = readFileSync(new URL("../../docs/strategies.md", import.meta.url), "utf8");
const NOW_MS = 1_000_000_000;
const DAY_MS = 86_400_000;
/** The number of decimals on the page. */
const SHOWN = 4;

type Row = Record<string, string>;

/** The tables under a heading, as rows by column, without code marks. */
function tablesOf(markdown: string): Row[][] {
  const tables: Row[][] = [];
  let columns: string[] | null = null;
  for (const line of markdown.replace(/^```[\s\S]*?^```\s*$/gm, "").split("\n")) {
    if (!line.startsWith("|")) {
      columns = null;
      continue;
    }
    const cells = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("`", ""));
    if (columns === null) {
      columns = cells;
      tables.push([]);
    } else if (!cells.every((cell) => /^-+$/.test(cell))) {
      const names = columns;
      tables.at(-1)?.push(Object.fromEntries(cells.map((cell, index) => [names[index] ?? "", cell])));
    }
  }
  return tables;
}

/** The text under a heading, up to the next heading. */
function sectionOf(heading: string): string {
  const rest = PAGE.slice(PAGE.indexOf(`\n${heading}\n`) + heading.length + 2);
  expect(PAGE).toContain(`\n${heading}\n`);
  return rest.slice(0, rest.search(/^#/m) < 0 ? rest.length : rest.search(/^#/m));
}

const numberIn = (cell: string | undefined, otherwise: number) =>
  cell === undefined || cell === "" ? otherwise : Number(cell);

/** All completed and failed just now, so that no sample has faded. */
function experienceOf({ done, failed, mean }: Row): TypePerformance | null {
  const goodWeight = numberIn(done, 0);
  const badWeight = numberIn(failed, 0);
  if (goodWeight + badWeight === 0) return null;
  const track = { goodWeight, badWeight, atMs: NOW_MS };
  return { reliability: track, meanMs: numberIn(mean, 0) * 1000, samples: goodWeight };
}

function candidateOf(row: Row, type: string): Candidate {
  const otherwise = row.otherwise ?? "";
  const coolsDownSeconds = /^cools down for (\d+) s$/.exec(otherwise)?.[1];
  const isSilent = otherwise === "misses heartbeats";
  const isInactive = otherwise === "inactive";
  expect(otherwise === "" || coolsDownSeconds !== undefined || isSilent || isInactive, otherwise).toBe(true);
  const experience = experienceOf(row);
  return {
    id: row.agent ?? "",
    group: "default",
    status: isInactive ? "inactive" : "active",
    capabilities: [type],
    labels: {},
    maxConcurrentTasks: Number(row.slots),
    openTasks: Number(row.holds),
    cooldownUntilMs: coolsDownSeconds === undefined ? null : NOW_MS + Number(coolsDownSeconds) * 1000,
    silentUntilMs: isSilent ? NOW_MS + 1 : null,
    reliabilityHistory: historyOf(numberIn(row.reliability, 0.9), NOW_MS),
    load: row.cpu ? { cpu: Number(row.cpu), memory: Number(row.memory) } : null,
    performance: experience === null ? {} : { [type]: experience },
  };
}

type GivenTask = {
  id: string;
  type: string;
  priority: number;
  previous_agents?: string[];
  backups?: string[];
  ranked_backups?: string[];
};

function taskOf(given: GivenTask): PlaceableTask {
  return {
    id: given.id,
    type: given.type,
    priority: given.priority,
    group: null,
    requiredLabels: {},
    previousAgents: given.previous_agents ?? [],
    backups: given.backups ?? given.ranked_backups ?? [],
    hasOwnBackups: given.backups !== undefined,
  };
}

function configOf(section: string): Config["failover_config"] {
  const json = fencedBlocks(section).find(({ language }) => language === "json");
  if (json === undefined) return defaultConfig().failover_config;
  const parsed = parseConfigFile(json.text);
  if (!parsed.ok) throw new Error("the example's configuration is not valid");
  return parsed.config.failover_config;
}

type Example = { title: string; strategy: string; section: string };

const EXAMPLES: Example[] = [...PAGE.matchAll(/^#### (Example: (\w+), .+)$/gm)].map(
  ([heading, title = "", strategy = ""]) => ({ title, strategy, section: sectionOf(heading) }),
);

/** The example decided again, and the text of the page about it. */
function decided({ section }: Example) {
  const [given, sentence] = fencedBlocks(section).filter(({ language }) => language === "text");
  const task = taskOf(JSON.parse(given?.text ?? "") as GivenTask);
  const [agents = [], scores = []] = tablesOf(section);
  const candidates = agents.map((row) => candidateOf(row, task.type));
  const config = configOf(section);
  const strategy = strategyFor(config);
  const typical = typicalMs(candidates.map(({ performance: experience }) => experience[task.type]));
  const context = {
    strategy,
    nowMs: NOW_MS,
    config,
    fromAgent: /taken from `([^`]+)`/.exec(section)?.[1] ?? null,
    typicalMs: typical,
  };
  return {
    verdict: decide(task, candidates, context),
    strategy: strategy.name,
    typical,
    scores,
    sentence: sentence?.text.trim(),
  };
}

/** The table of scores that the page must show. */
function tableOf({ weights, candidates }: Verdict): Row[] {
  const shown = (value: number) => String(Number(value.toFixed(SHOWN)));
  const rowOf = (agent: string, values: Readonly<Record<string, number>>, score: string): Row => ({
    agent,
    ...Object.fromEntries(Object.keys(weights).map((name) => [name, shown(values[name] ?? Number.NaN)])),
    score,
  });
  return [
    rowOf("weight", weights, ""),
    ...candidates.map(({ agentId, factors, score }) => rowOf(agentId, factors, shown(score))),
  ];
}

describe.each(EXAMPLES.map((example) => [example.title, example] as const))("%s", (_, example) => {
  const { verdict, strategy, typical, scores, sentence } = decided(example);

  it("is decided by the strategy that it illustrates", () => {
    expect(strategy).toBe(example.strategy);
  });

  it("has the weights, factors and scores that the product computes, best first", () => {
    expect(scores).toEqual(tableOf(verdict));
  });

  it("has the explanation that the product gives", () => {
    expect(sentence).toBe(verdict.explanation);
  });

  it("has the backups and the typical duration that it names", () => {
    const named = /^Backups: (.+)\.$/m.exec(example.section)?.[1];
    if (named !== undefined) expect(inlineCode(named)).toEqual(verdict.runnersUp);
    const seconds = /typical duration is ([\d.]+) s/.exec(example.section)?.[1];
    if (seconds !== undefined) expect(Number(seconds)).toBeCloseTo((typical ?? Number.NaN) / 1000, SHOWN);
  });
});

it("every strategy in the registry has a worked example", () => {
  const shown = new Set(EXAMPLES.map(({ strategy }) => strategy));
  expect([...shown].sort()).toEqual(STRATEGIES.map(({ name }) => name).sort());
});

it("the reliability of each history is the product's estimate", () => {
  const just = (...events: ReliabilityEvent[]) =>
    events.reduce((track, event) => withEvent(track, event, NOW_MS), newHistory(NOW_MS));
  const completed = (count: number) => Array.from({ length: count }, () => "task_completed" as const);
  const crashed = just("agent_failed");
  const known: Record<string, number> = {
    "just registered for the first time": reliabilityOf(just(), NOW_MS),
    "failed a task just now": reliabilityOf(just("task_failed"), NOW_MS),
    "was declared failed just now": reliabilityOf(crashed, NOW_MS),
    "was declared failed a day ago": reliabilityOf(crashed, NOW_MS + DAY_MS),
    "was declared failed two days ago": reliabilityOf(crashed, NOW_MS + 2 * DAY_MS),
    "was declared failed three days ago": reliabilityOf(crashed, NOW_MS + 3 * DAY_MS),
    "was declared failed and completed 10 tasks since, all just now": reliabilityOf(
      just("agent_failed", ...completed(10)),
      NOW_MS,
    ),
    "completed 50 tasks and was then declared failed, all just now": reliabilityOf(
      just(...completed(50), "agent_failed"),
      NOW_MS,
    ),
  };
  const table = tablesOf(sectionOf("### The factors"))[1] ?? [];
  expect(table).toEqual(
    Object.entries(known).map(([history, reliability]) => ({
      "the agent": history,
      reliability: String(Number(reliability.toFixed(SHOWN))),
    })),
  );
});

it("the default weights are those of the product", () => {
  const [table = []] = tablesOf(sectionOf("### Default weights"));
  const shown = table.map(({ level, why: _, ...weights }) => [
    level,
    Object.fromEntries(Object.entries(weights).map(([name, weight]) => [name, Number(weight)])),
  ]);
  expect(Object.fromEntries(shown)).toEqual(DEFAULT_WEIGHTS);
});

it("every exclusion reason is listed, the soft ones from mild to severe with the strategies that apply them", () => {
  const [hard = [], soft = []] = tablesOf(sectionOf("### Who is excluded"));
  const reasons = new Set([...hard, ...soft].map(({ reason }) => reason));
  expect([...reasons].sort()).toEqual([...EXCLUSION_REASONS].sort());
  expect(soft.map(({ reason }) => reason)).toEqual(failover.softReasons);
  for (const { reason, "applied by": appliers } of soft) {
    const heeding = STRATEGIES.filter(({ softReasons }) => softReasons.includes(reason as SoftReason)).map(
      ({ name }) => name,
    );
    expect(appliers, reason).toBe(heeding.length === STRATEGIES.length ? "all" : heeding.join(", "));
  }
});

it("the decision shown is valid by the contract, and its replay gives the same result", () => {
  const text = fencedBlocks(PAGE)
    .filter(({ language }) => language === "text")
    .find(({ text }) => text.includes('"excluded_counts"'))?.text;
  const decision = Decision.parse(JSON.parse(text ?? ""));
  const candidates = decision.candidates.map(({ agent_id, factors }) => ({ agentId: agent_id, factors }));
  expect(replay(decision.task_id, candidates, decision.weights)).toBe(decision.selected);
  for (const { score, factors } of decision.candidates) {
    expect(weightedSum(factors, decision.weights)).toBeCloseTo(score, 12);
  }
});
