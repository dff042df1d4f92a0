/**
 * `backup_agent`: each task has a primary and ordered backups from the moment it is placed;
 * failover takes the first of them who can. The list itself is ranked as `failover` ranks, and
 * whoever drops out of it is replaced by the next best when the task is placed again.
 */
import { configuredBackups, withList, withPlace } from "./designated.ts";
import { failover, levelWeights, merits } from "./failover.ts";
import type { DecisionContext, PlaceableTask, Strategy } from "./strategy.ts";

export const backupAgent: Strategy = {
  name: "backup_agent",
  summary: "a primary and ordered backups for each task, the first live one takes over",
  heeds: failover.heeds,
  keepsBackups: true,

  weights: (task, context) => withList(listOf(task, context), levelWeights(task, context)),

  factors: (task, candidate, context) =>
    withPlace(listOf(task, context), candidate.id, merits(task, candidate, context)),
};

/**
 * The backups designated for the failed agent come before those that were merely ranked; a
 * list named for the task by hand comes before both.
 */
function listOf(task: PlaceableTask, context: DecisionContext): readonly string[] {
  if (context.fromAgent === null) return [];
  const configured = configuredBackups(context);
  return task.hasOwnBackups || configured.length === 0 ? task.backups : configured;
}
