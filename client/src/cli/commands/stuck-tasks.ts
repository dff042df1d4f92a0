/** Tasks that wait or make no progress, oldest first, each with the reason as it is now. */
import type { Task } from "../../index.ts";
import { type Invocation, number, text } from "../command.ts";
import { percent } from "../task-text.ts";
import { durationMs, inWords, localTimes } from "../time.ts";

/** A task that runs so long without progress is shown, unless --for says otherwise. */
const DEFAULT_FOR = "5m";

/** Tasks read in one call. */
const PAGE = 500;

const DEFAULT_LIMIT = 50;

type Stuck = { task: Task; why: string };

export async function showStuck({ coordinator, options, printer }: Invocation): Promise<void> {
  const sinceMs = Date.now() - durationMs(text(options.for) ?? DEFAULT_FOR, "--for");
  const limit = number(options.limit, "--limit") ?? DEFAULT_LIMIT;
  const dead = new Set<string>();
  for await (const { id } of coordinator.agents.list({ status: "inactive", limit: PAGE })) dead.add(id);
  const found: Stuck[] = [];
  for (const status of ["pending", "assigned", "running"] as const) {
    const filter = { status, type: text(options.type), assigned_to: text(options.agent), limit: PAGE };
    for await (const task of coordinator.tasks.list(filter)) {
      const why = whyStuck(task, dead, sinceMs);
      if (why !== null) found.push({ task, why });
    }
  }
  const oldestFirst = found.sort((a, b) => a.task.created_at.localeCompare(b.task.created_at));
  const shown = oldestFirst.slice(0, limit);
  printer.show(
    shown.map(({ task, why }) => ({ ...task, why })),
    () =>
      printer.table(
        ["TASK", "TYPE", "STATUS", "AGENT", "AGE", "PROGRESS", "WHY"],
        shown.map(({ task, why }) => [
          task.id,
          task.type,
          task.status,
          task.assigned_to,
          inWords(Date.now() - Date.parse(task.created_at)),
          percent(task),
          why,
        ]),
      ),
  );
  if (found.length > shown.length)
    printer.warn(`only the oldest ${limit} of ${found.length} are shown; --limit N shows more`);
}

/** @returns null if the task makes progress */
function whyStuck(task: Task, dead: ReadonlySet<string>, sinceMs: number): string | null {
  const { status, assigned_to, assigned_at, progress_at, pending_reason } = task;
  if (status === "pending") return localTimes(pending_reason) ?? "waits for an agent";
  if (assigned_to !== null && dead.has(assigned_to))
    return `${assigned_to} is inactive, and no failover takes the task`;
  const since = status === "assigned" ? assigned_at : progress_at;
  if (since === null || Date.parse(since) > sinceMs) return null;
  const silence = inWords(Date.now() - Date.parse(since));
  return status === "assigned"
    ? `${assigned_to} has not started it for ${silence}`
    : `${assigned_to} has reported no progress for ${silence}`;
}
