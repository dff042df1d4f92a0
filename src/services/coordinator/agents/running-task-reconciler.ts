/**
 * The tasks of an agent that registers again. A task that the agent says it still runs stays as it is, or is given back
 * if the agent was declared failed and no other agent has the task. Every other task that it held stays with it under a
 * new attempt.
 */
import type { RunningTask } from "../../../contract/agent.ts";
import type { TaskStatus } from "../../../contract/task.ts";
import type { AttemptOutcome } from "../../../storage/coordinator/attempts.ts";
import type { QueuedTask, QueuePosition } from "../../../storage/coordinator/task-table.ts";
import type { Slice } from "../../../storage/page.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Placement } from "../tasks/placement.ts";

/** Tasks read at a time. */
const PAGE = 100;
const HELD: readonly TaskStatus[] = ["assigned", "running"];

/** How an attempt ends without its holder being told to give it up. */
const NOT_TOLD: readonly (AttemptOutcome | null)[] = ["agent_failed", "agent_unregistered"];

export class RunningTaskReconciler {
  readonly #context: Pick<ClusterContext, "attempts" | "tasks">;
  readonly #placement: Pick<Placement, "canDo" | "giveBack" | "reissue">;

  constructor(
    context: Pick<ClusterContext, "attempts" | "tasks">,
    placement: Pick<Placement, "canDo" | "giveBack" | "reissue">,
  ) {
    this.#context = context;
    this.#placement = placement;
  }

  /** @param running what the agent says it still runs */
  reconcile(agentId: string, running: readonly RunningTask[], nowMs: number): void {
    const attemptById = new Map(running.map(({ task_id, attempt }) => [task_id, attempt]));
    this.#reissueOthers(agentId, attemptById, nowMs);
    this.#giveBack(agentId, attemptById, nowMs);
  }

  #reissueOthers(agentId: string, attemptById: ReadonlyMap<string, number>, nowMs: number): void {
    let after: QueuePosition | null = null;
    for (;;) {
      const page: Slice<QueuedTask> = this.#context.tasks.store.held.page(agentId, HELD, {
        after,
        limit: PAGE,
      });
      for (const { task, position } of page.items) {
        after = position;
        if (attemptById.get(task.id) === task.attempt) continue;
        this.#context.attempts.end(task, "reregistered", nowMs);
        this.#placement.reissue(task, agentId, nowMs);
      }
      if (!page.hasMore) return;
    }
  }

  /** Pending tasks that the agent was not told to give up go back to it: otherwise the work would be done twice. */
  #giveBack(agentId: string, attemptById: ReadonlyMap<string, number>, nowMs: number): void {
    const { tasks, attempts } = this.#context;
    const ids = [...attemptById.keys()];
    for (let from = 0; from < ids.length; from += PAGE) {
      for (const id of tasks.store.pending.formerlyHeldBy(agentId, ids.slice(from, from + PAGE))) {
        const task = tasks.store.find(id);
        if (task === undefined || task.attempt !== attemptById.get(id)) continue;
        const attempt = attempts.find(id, task.attempt);
        if (attempt?.agentId !== agentId || !NOT_TOLD.includes(attempt.outcome)) continue;
        if (this.#placement.canDo(agentId, task)) this.#placement.giveBack(task, attempt, nowMs);
      }
    }
  }
}
