/** What unfinished tasks need of agents, counted: what a simulation asks of the agents that are left. */
import type { Demand } from "../../../strategies/readiness.ts";
import type { Sql } from "../../sql.ts";

type DemandRow = {
  type: string;
  group_id: string | null;
  required_labels: string;
  holder: string | null;
  count: number;
};

export class TaskDemandStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Unfinished tasks, counted by their needs and their holders. */
  all(): Demand[] {
    return this.#sql
      .all<DemandRow>(
        `SELECT type, group_id, required_labels, iif(is_held = 1, holder, NULL) AS holder, count(*) AS count
         FROM tasks WHERE is_held = 1 OR status = 'pending' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`,
      )
      .map((row) => ({
        type: row.type,
        group: row.group_id,
        requiredLabels: JSON.parse(row.required_labels) as Record<string, string>,
        holder: row.holder,
        count: row.count,
      }));
  }

  /** The first few held tasks of such a count. */
  heldTaskIds({ type, group, requiredLabels, holder }: Demand, limit: number): string[] {
    return this.#sql
      .all<{ id: string }>(
        `SELECT id FROM tasks WHERE is_held = 1 AND holder = ? AND type = ? AND group_id IS ? AND required_labels = ?
         ORDER BY urgency, number LIMIT ?`,
        holder,
        type,
        group,
        JSON.stringify(requiredLabels),
        limit,
      )
      .map((row) => row.id);
  }
}
