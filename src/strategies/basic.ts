/**
 * `basic` (`use_failover_strategy: false`): the designated backups of the agent that had
 * the task, in order; else whoever can do it with the least load.
 */
import type { Candidate, DecisionContext, PlaceableTask, Strategy } from "./strategy.ts";

/** Large enough that any designated backup outweighs the best of the others, which reach at most 2. */
const CAPABILITY_WEIGHT = 1;
const LOAD_WEIGHT = 1;

export const basic: Strategy = {
  name: "basic",
  summary: "designated backups in order, then capability, then least load",

  weights(task, context) {
    const backups = designatedBackups(task, context);
    const common = { capability: CAPABILITY_WEIGHT, load: LOAD_WEIGHT };
    if (backups.length === 0) return common;
    // One step down the list must cost more than capability and load can bring back.
    return { designated: backups.length * (CAPABILITY_WEIGHT + LOAD_WEIGHT + 1), ...common };
  },

  factors(task, candidate, context) {
    const backups = designatedBackups(task, context);
    const common = { capability: 1, load: freeShare(candidate) };
    if (backups.length === 0) return common;
    const place = backups.indexOf(candidate.id);
    return { designated: place < 0 ? 0 : (backups.length - place) / backups.length, ...common };
  },
};

/** The task's own list if it has one, else the one configured for the agent it is taken from. */
function designatedBackups(task: PlaceableTask, { config, fromAgent }: DecisionContext): readonly string[] {
  if (task.backups.length > 0) return task.backups;
  if (fromAgent === null) return [];
  const configured = Object.hasOwn(config.backup_agents, fromAgent)
    ? config.backup_agents[fromAgent]
    : undefined;
  if (configured === undefined) return [];
  return typeof configured === "string" ? [configured] : configured;
}

/** The share of its slots that are free: 1 when idle, near 0 when almost full. */
export function freeShare({ openTasks, maxConcurrentTasks }: Candidate): number {
  return Math.max(0, 1 - openTasks / maxConcurrentTasks);
}
