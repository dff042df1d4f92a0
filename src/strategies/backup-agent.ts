/**
 * `backup_agent`: each task has a primary and ordered backups from the moment it is placed; failover takes the first
 * backup that can. The list is ranked as `failover` ranks. A backup that drops out is replaced by the next best
 * agent when the task is placed again.
 */
import { configuredBackups, withList, withPosition } from "./designated.ts";
import { failover, levelWeights, rankingFactors } from "./failover.ts";
import type { DecisionContext, PlaceableTask, Strategy } from "./strategy.ts";

export const backupAgent: Strategy = {
  name: "backup_agent",
  summary: "a primary and ordered backups for each task, the first live one takes over",
  softReasons: failover.softReasons,
  keepsBackups: true,

  weights: (task, context) => withList(listOf(task, context), levelWeights(task, context)),

  factors: (task, candidate, context) =>
    withPosition(listOf(task, context), candidate.id, rankingFactors(task, candidate, context)),
};

/** A list named for the task by hand comes first, then the backups configured for the failed agent, then the ranked list. */
function listOf(task: PlaceableTask, context: DecisionContext): readonly string[] {
  if (context.fromAgent === null) return [];
  const configured = configuredBackups(context);
  return task.hasOwnBackups || configured.length === 0 ? task.backups : configured;
}
