/**
 * The tasks of an agent that registers again. A task that the agent says it still runs stays as it is, or is given back
 * if the agent was declared failed and no other agent has the task. Every other task that it held stays with it under a
 * new attempt, unless the agent's process died while it ran the task: that attempt was lost.
 */
import type { RunningTask } from "../../../contract/agent.ts";
import type { TaskStatus } from "../../../contract/task.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { AttemptOutcome } from "../../../storage/coordinator/attempts.ts";
import type { QueuedTask, QueuePosition } from "../../../storage/coordinator/tasks/task-table.ts";
import type { Slice } from "../../../storage/page.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AttemptLoss, AttemptLosses } from "../failover/attempt-loss.ts";
import type { Placement } from "../tasks/placement.ts";

/** Tasks read at a time. */
const PAGE = 100;
const HELD: readonly TaskStatus[] = ["assigned", "running"];

/** How an attempt ends without its holder being told to give it up. */
const NOT_TOLD: readonly (AttemptOutcome | null)[] = ["agent_failed", "agent_unregistered"];

type Parts = {
  placement: Pick<Placement, "canDo" | "giveBack" | "reissue">;
  losses: Pick<AttemptLosses, "lose">;
};

/**
 * @property running what the agent says it still runs
 * @property isCrash the process that held the tasks died, and its losses are counted
 */
type Return = { agentId: string; running: readonly RunningTask[]; isCrash: boolean };

export class RunningTaskReconciler {
  readonly #context: Pick<ClusterContext, "attempts" | "tasks">;
  readonly #parts: Parts;

  constructor(context: Pick<ClusterContext, "attempts" | "tasks">, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** @returns the tasks whose attempt was lost, as they are afterwards */
  reconcile({ agentId, running, isCrash }: Return, nowMs: number): TaskRecord[] {
    const attemptById = new Map(running.map(({ task_id, attempt }) => [task_id, attempt]));
    const lost = this.#reissueOthers(agentId, { attemptById, isCrash }, nowMs);
    this.#giveBack(agentId, attemptById, nowMs);
    return lost;
  }

  /** @returns the tasks that were lost */
  #reissueOthers(
    agentId: string,
    { attemptById, isCrash }: { attemptById: ReadonlyMap<string, number>; isCrash: boolean },
    nowMs: number,
  ): TaskRecord[] {
    const lost: TaskRecord[] = [];
    let after: QueuePosition | null = null;
    for (;;) {
      const page: Slice<QueuedTask> = this.#context.tasks.store.held.page(agentId, HELD, {
        after,
        limit: PAGE,
      });
      for (const { task, position } of page.items) {
        after = position;
        if (attemptById.get(task.id) === task.attempt) continue;
        // A loss may lower the priority of a task that stays, which puts the task behind the cursor again.
        if (lost.some(({ id }) => id === task.id)) continue;
        if (isCrash && task.status === "running") {
          lost.push(this.#lose(task, nowMs));
          continue;
        }
        this.#context.attempts.end(task, "reregistered", nowMs);
        this.#parts.placement.reissue(task, agentId, nowMs);
      }
      if (!page.hasMore) return lost;
    }
  }

  /** The first crash may be chance, so the task stays with its agent; after a second one another agent tries. */
  #lose(task: TaskRecord, nowMs: number): TaskRecord {
    const loss: AttemptLoss = {
      reason: "agent_restarted",
      outcome: "agent_restarted",
      message: `the process of ${task.holder} restarted while it ran the task`,
      notBeforeMs: null,
      staysWithHolder: !this.#context.attempts.hasOutcome(task.id, "agent_restarted"),
    };
    return this.#parts.losses.lose(task, loss, nowMs);
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
        const { placement } = this.#parts;
        if (placement.canDo(agentId, task)) placement.giveBack(task, attempt, nowMs);
      }
    }
  }
}
