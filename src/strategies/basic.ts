/**
 * `basic` (`use_failover_strategy: false`): the designated backups of the agent that had the task, in order; else the
 * capable agent with the least load.
 */
import { designatedBackups, withList, withPosition } from "./designated.ts";
import { freeShare } from "./factors.ts";
import type { Strategy } from "./strategy.ts";

const WEIGHTS = { capability: 1, load: 1 };

export const basic: Strategy = {
  name: "basic",
  summary: "designated backups in order, then capability, then least load",
  softReasons: ["cooling_down", "previous_agent", "silent"],

  weights: (task, context) => withList(designatedBackups(task, context), WEIGHTS),

  // Agents that cannot do the type are filtered out, so capability is 1 for every candidate.
  factors: (task, candidate, context) =>
    withPosition(designatedBackups(task, context), candidate.id, {
      capability: 1,
      load: freeShare(candidate),
    }),
};
