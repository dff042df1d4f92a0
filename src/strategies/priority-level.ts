/** Which of the three levels a priority belongs to. */
import type { Config } from "../contract/config.ts";
import type { PriorityLevel } from "../contract/decision.ts";

/** At least `high`, else at least `medium`, else low (`task_priority_levels`). */
export function priorityLevel(
  priority: number,
  levels: Config["failover_config"]["task_priority_levels"],
): PriorityLevel {
  if (priority >= levels.high) return "high";
  return priority >= levels.medium ? "medium" : "low";
}
