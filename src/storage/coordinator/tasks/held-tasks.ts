/** The tasks that agents hold, assigned or running. */
import type { TaskStatus } from "../../../contract/task.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import { mapSlice, readSlice, type Slice } from "../../page.ts";
import type { Sql } from "../../sql.ts";
import {
  behind,
  QUEUED_COLUMNS,
  type QueuedRow,
  type QueuedTask,
  type QueuePosition,
  queuedTask,
  TASKS,
} from "./task-table.ts";

/** A held task without the fields that may be large. */
export type HeldTask = { id: string; holder: string; attempt: number; decisionCount: number };

export class HeldTaskStore {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  countByAgent(): Map<string, number> {
    const rows = this.#sql.all<{ holder: string; count: number }>(
      "SELECT holder, count(*) AS count FROM tasks WHERE is_held = 1 GROUP BY holder",
    );
    return new Map(rows.map((row) => [row.holder, row.count]));
  }

  /** Agents with tasks that were assigned and not started, and since when the oldest of these waits. */
  unstartedByAgent(): { agentId: string; count: number; oldestAssignedAtMs: number }[] {
    return this.#sql.all<{ agentId: string; count: number; oldestAssignedAtMs: number }>(
      `SELECT holder AS agentId, count(*) AS count, min(assigned_at) AS oldestAssignedAtMs
       FROM tasks WHERE is_held = 1 AND status = 'assigned' GROUP BY holder`,
    );
  }

  /** What an agent holds, most urgent first. */
  of(agentId: string, limit: number): TaskRecord[] {
    return this.#records("urgency, number", agentId, limit);
  }

  /** What an agent holds, oldest first. */
  ofByAge(agentId: string, limit: number): TaskRecord[] {
    return this.#records("created_at, number", agentId, limit);
  }

  /** What an agent holds, most urgent first, without the fields that may be large. */
  briefly(agentId: string, limit: number): HeldTask[] {
    return this.#sql.all<HeldTask>(
      `SELECT id, holder, attempt, decision_count AS decisionCount FROM tasks
       WHERE is_held = 1 AND holder = ? ORDER BY urgency, number LIMIT ?`,
      agentId,
      limit,
    );
  }

  /** What an agent holds of these statuses, behind a position; fewer than asked for if they are large. */
  page(
    agentId: string,
    statuses: readonly TaskStatus[],
    { after, limit }: { after: QueuePosition | null; limit: number },
  ): Slice<QueuedTask> {
    const found = readSlice<QueuedRow>(limit, (count, last) =>
      this.#rows(agentId, statuses, { after: last ?? after, limit: count }),
    );
    return mapSlice(found, queuedTask);
  }

  /**
   * What each of these agents has not started, behind a position: a slice for each agent, in order, as far as
   * `limit` tasks reach, and fewer if they are large.
   */
  unstartedPages(
    agents: readonly { agentId: string; after: QueuePosition | null }[],
    limit: number,
  ): Slice<QueuedTask>[] {
    let index = 0;
    let position: QueuePosition | null = null;
    const { items, hasMore } = readSlice<QueuedRow & { index: number }>(limit, (count) => {
      const found: (QueuedRow & { index: number })[] = [];
      for (let agent = agents[index]; agent !== undefined && found.length < count; agent = agents[index]) {
        const wanted = count - found.length;
        const rows = this.#rows(agent.agentId, ["assigned"], {
          after: position ?? agent.after,
          limit: wanted,
        });
        for (const row of rows) found.push({ ...row, index });
        position = rows.at(-1) ?? position;
        if (rows.length === wanted) continue;
        index += 1;
        position = null;
      }
      return found;
    });
    // There may be more behind the last row, of that agent or of the next.
    const reached = hasMore ? 1 + (items.at(-1)?.index ?? 0) : agents.length;
    const slices = Array.from({ length: reached }, (_, at): Slice<QueuedTask> => {
      return { items: [], hasMore: hasMore && at === reached - 1 };
    });
    for (const { index: of, ...row } of items) slices[of]?.items.push(queuedTask(row as QueuedRow));
    return slices;
  }

  #rows(
    agentId: string,
    statuses: readonly TaskStatus[],
    { after, limit }: { after: QueuePosition | null; limit: number },
  ): QueuedRow[] {
    return this.#sql.all<QueuedRow>(
      `SELECT ${QUEUED_COLUMNS} FROM tasks WHERE is_held = 1 AND holder = ? AND (urgency, number) > (?, ?)
         AND status IN (SELECT value FROM json_each(?)) ORDER BY urgency, number LIMIT ?`,
      agentId,
      ...behind(after),
      JSON.stringify(statuses),
      limit,
    );
  }

  #records(order: string, agentId: string, limit: number): TaskRecord[] {
    return this.#sql
      .all(
        `SELECT ${TASKS.columns} FROM tasks WHERE is_held = 1 AND holder = ? ORDER BY ${order} LIMIT ?`,
        agentId,
        limit,
      )
      .map(TASKS.read);
  }
}
