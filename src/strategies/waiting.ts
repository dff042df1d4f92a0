/** Why a task waits, as the agents are now. Pure. Only hard reasons make a task wait. */
import type { ExclusionReason } from "../contract/placement/decision.ts";
import type { PendingCode } from "../contract/task.ts";
import { hardExclusion } from "./eligibility.ts";
import { exclusionWords } from "./explanation.ts";
import type { Candidate, TaskNeeds } from "./strategy.ts";

/** @property code null if an agent could take such a task now */
export type Waiting = { code: PendingCode | null; reason: string };

export function whyWaiting(task: TaskNeeds, candidates: Iterable<Candidate>): Waiting {
  const excludedCounts: Partial<Record<ExclusionReason, number>> = {};
  let registered = 0;
  let live = 0;
  let skilled = 0;
  for (const candidate of candidates) {
    const exclusion = hardExclusion(task, candidate);
    if (exclusion === null) return { code: null, reason: "an agent can take it, and is being assigned" };
    excludedCounts[exclusion.reason] = (excludedCounts[exclusion.reason] ?? 0) + 1;
    registered += 1;
    if (candidate.status === "inactive") continue;
    live += 1;
    if (candidate.capabilities.includes(task.type)) skilled += 1;
  }
  if (registered === 0) return { code: "no_agent", reason: "no agent is registered" };
  const counts = exclusionWords({ excludedCounts });
  if (live === 0) return { code: "no_agent", reason: `no agent is live: ${counts}` };
  if (skilled === 0) return { code: "no_capability", reason: `no live agent can do ${task.type}: ${counts}` };
  if (excludedCounts.at_capacity !== undefined) {
    return { code: "at_capacity", reason: `no free slot: ${counts}` };
  }
  return { code: "excluded", reason: `every agent that can do ${task.type} is excluded: ${counts}` };
}
