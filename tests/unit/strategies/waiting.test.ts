/** Why a task waits: a code and a sentence, from the agents as they are. */
import { expect, it } from "vitest";
import type { Candidate } from "../../../src/strategies/strategy.ts";
import { whyWaiting } from "../../../src/strategies/waiting.ts";
import { historyOf } from "../../support/records.ts";

function candidate(overrides: Partial<Candidate> = {}): Candidate {
  return {
    id: "a",
    group: "default",
    status: "active",
    capabilities: ["resize"],
    labels: {},
    maxConcurrentTasks: 1,
    openTasks: 0,
    cooldownUntilMs: null,
    silentUntilMs: null,
    reliabilityHistory: historyOf(0.9, 0),
    load: null,
    performance: {},
    ...overrides,
  };
}

const full = candidate({ openTasks: 1 });
const inactive = candidate({ status: "inactive" });
const draining = candidate({ status: "draining" });
const unskilled = candidate({ capabilities: ["translate"] });
const elsewhere = candidate({ group: "south" });

it.each([
  ["nobody is registered", [], "no_agent", "no agent is registered"],
  ["all have failed", [inactive, inactive], "no_agent", "no agent is live: 2 inactive"],
  [
    "only others are live",
    [inactive, unskilled],
    "no_capability",
    "no live agent can do resize: 1 inactive, 1 without the capability",
  ],
  ["all are full", [full, unskilled], "at_capacity", "no free slot: 1 at capacity, 1 without the capability"],
  ["one is full and one drains", [full, draining], "at_capacity", "no free slot: 1 at capacity, 1 draining"],
  [
    "the able ones may not take it",
    [draining, elsewhere],
    "excluded",
    "every agent that can do resize is excluded: 1 draining, 1 in another group",
  ],
  ["one is free", [full, candidate()], null, "an agent can take it, and is being assigned"],
] as const)("%s", (_, candidates, code, reason) => {
  const needs = { type: "resize", group: "default", requiredLabels: {} };
  expect(whyWaiting(needs, candidates)).toEqual({ code, reason });
});
