/**
 * `basic` (`use_failover_strategy: false`): the designated backups of the agent that had
 * the task, in order; else whoever can do it with the least load.
 */
import { designatedBackups, withList, withPlace } from "./designated.ts";
import { freeShare } from "./factors.ts";
import type { Strategy } from "./strategy.ts";

const WEIGHTS = { capability: 1, load: 1 };

export const basic: Strategy = {
  name: "basic",
  summary: "designated backups in order, then capability, then least load",
  heeds: ["cooling_down", "previous_agent", "silent"],

  weights: (task, context) => withList(designatedBackups(task, context), WEIGHTS),

  // Whoever cannot do the type was filtered out, so capability tells nobody apart.
  factors: (task, candidate, context) =>
    withPlace(designatedBackups(task, context), candidate.id, { capability: 1, load: freeShare(candidate) }),
};
