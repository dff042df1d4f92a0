/** Reads of a cluster. Nothing here changes stored state. */
import type { Agent, AgentFilter } from "../../contract/agent.ts";
import type { ClusterStatus } from "../../contract/cluster.ts";
import type { Page } from "../../contract/common.ts";
import type { Event } from "../../contract/event.ts";
import type { Failure, FailureFilter } from "../../contract/failure.ts";
import type { Decision } from "../../contract/placement/decision.ts";
import { type Outcome, ok, refuse } from "../../contract/problem.ts";
import {
  type LateResult,
  TASK_STATUSES,
  type Task,
  type TaskFilter,
  type TaskStatus,
} from "../../contract/task.ts";
import type { Principal } from "../../domain/principal.ts";
import type { UnstartedRead } from "../../protocol/object-calls.ts";
import type { QueuedTask, QueuePosition } from "../../storage/coordinator/tasks/task-table.ts";
import { numberCursor, numberOf, pageOf } from "../../storage/page.ts";
import { strategyFor } from "../../strategies/registry.ts";
import type { ClusterContext } from "./cluster-context.ts";
import { noSuchAgent, noSuchTask } from "./refusals.ts";
import type { Placement } from "./tasks/placement.ts";
import { agentView, lateResultView, taskView } from "./wire-views.ts";

/** Failures in the status. */
const RECENT_FAILURES = 10;

/** Unstarted tasks in one answer, of all agents together: the limit of a page. */
const UNSTARTED_LIMIT = 500;

const DAY_MS = 86_400_000;

/** Which page of the tasks that an agent holds. */
export type HeldTasksQuery = { statuses: readonly TaskStatus[]; limit: number; cursor: string | null };

type Needs = Pick<
  ClusterContext,
  | "agents"
  | "decisions"
  | "events"
  | "failures"
  | "lateResults"
  | "settings"
  | "tasks"
  | "taskViews"
  | "unit"
  | "wakeups"
>;

export class Queries {
  readonly #context: Needs;
  readonly #placement: Pick<Placement, "backupsNow">;

  constructor(context: Needs, placement: Pick<Placement, "backupsNow">) {
    this.#context = context;
    this.#placement = placement;
  }

  agent(agentId: string): Outcome<Agent> {
    return this.#context.unit.read((nowMs): Outcome<Agent> => {
      const agent = this.#context.agents.find(agentId);
      if (agent === undefined || agent.isLeaving) return noSuchAgent();
      return ok(agentView(agent, this.#context.agents.openTasksOf(agentId), nowMs));
    });
  }

  agents(filter: AgentFilter, limit: number, afterId: string | null): Page<Agent> {
    return this.#context.unit.read((nowMs) => {
      const matching = this.#context.agents
        .all()
        .filter(
          (agent) =>
            (afterId === null || agent.id > afterId) &&
            (filter.status === undefined || agent.status === filter.status) &&
            (filter.group === undefined || agent.group === filter.group) &&
            (filter.type === undefined || agent.type === filter.type) &&
            (filter.capability === undefined || agent.capabilities.includes(filter.capability)),
        );
      const page = matching.slice(0, limit);
      return {
        items: page.map((agent) => agentView(agent, this.#context.agents.openTasksOf(agent.id), nowMs)),
        next_cursor: matching.length > limit ? (page.at(-1)?.id ?? null) : null,
      };
    });
  }

  /** One task, with its backups as they would be used now. */
  task(taskId: string): Outcome<Task> {
    return this.#context.unit.read((nowMs): Outcome<Task> => {
      const task = this.#context.tasks.store.find(taskId);
      if (task === undefined) return noSuchTask();
      const backups = this.#placement.backupsNow(task, nowMs);
      return ok(this.#context.taskViews.view({ ...task, backups }, nowMs));
    });
  }

  tasks(filter: TaskFilter, limit: number, cursor: string | null): Page<Task> {
    return this.#context.unit.read((nowMs) => {
      const found = this.#context.tasks.store.list(filter, numberOf(cursor), limit);
      const view = this.#context.taskViews.reader(nowMs);
      return pageOf(found, ({ task }) => view(task), numberCursor);
    });
  }

  /** The tasks that an agent holds, most urgent first. An agent that reads its whole list needs no further wake-up. */
  tasksOf(agentId: string, { statuses, limit, cursor }: HeldTasksQuery, principal: Principal): Page<Task> {
    return this.#context.unit.read(() => {
      const found = this.#context.tasks.store.held.page(agentId, statuses, {
        after: positionOf(cursor),
        limit,
      });
      if (principal.role === "agent") {
        const unstarted = found.items.filter(({ task }) => task.status === "assigned").length;
        this.#context.wakeups.read(agentId, unstarted);
      }
      return pageOf(found, viewOfQueued, cursorOfQueued);
    });
  }

  /**
   * The unstarted tasks of agents, for their groups to push. Wake-ups are repeated until the agents react. Returns a page
   * for each read, in order, as far as one answer reaches: the last page may be incomplete, and further reads have none.
   */
  unstartedTasks(reads: readonly UnstartedRead[]): Page<Task>[] {
    return this.#context.unit.read(() => {
      const queues = reads.map(({ agentId, cursor }) => ({ agentId, after: positionOf(cursor) }));
      const slices = this.#context.tasks.store.held.unstartedPages(queues, UNSTARTED_LIMIT);
      return slices.map((slice) => pageOf(slice, viewOfQueued, cursorOfQueued));
    });
  }

  decisions(taskId: string, limit: number, cursor: string | null): Outcome<Page<Decision>> {
    return this.#context.unit.read((): Outcome<Page<Decision>> => {
      if (this.#context.tasks.store.find(taskId) === undefined) return noSuchTask();
      const found = this.#context.decisions.list(taskId, numberOf(cursor) ?? 0, limit);
      return ok(pageOf(found, ({ decision }) => decision, numberCursor));
    });
  }

  lateResults(taskId: string, limit: number, cursor: string | null): Outcome<Page<LateResult>> {
    return this.#context.unit.read((): Outcome<Page<LateResult>> => {
      if (this.#context.tasks.store.find(taskId) === undefined) return noSuchTask();
      const found = this.#context.lateResults.list(taskId, numberOf(cursor) ?? 0, limit);
      return ok(pageOf(found, lateResultView, ({ attempt }) => String(attempt)));
    });
  }

  failure(failureId: string): Outcome<Failure> {
    return this.#context.unit.read((): Outcome<Failure> => {
      const failure = this.#context.failures.find(failureId);
      return failure === undefined ? refuse("not_found", "there is no failure with this id") : ok(failure);
    });
  }

  failures(filter: FailureFilter, limit: number, cursor: string | null): Page<Failure> {
    return this.#context.unit.read(() => {
      const found = this.#context.failures.list(filter, numberOf(cursor), limit);
      return pageOf(found, ({ failure }) => failure, numberCursor);
    });
  }

  events(afterId: number, limit: number): Event[] {
    return this.#context.unit.read(() => this.#context.events.after(afterId, limit));
  }

  lastEventId(): number {
    return this.#context.unit.read(() => this.#context.events.lastId());
  }

  groups(): string[] {
    return this.#context.unit.read(() => this.#context.agents.groups());
  }

  /** Without the locks, which the groups count. */
  status(): Omit<ClusterStatus, "locked_resources"> {
    return this.#context.unit.read((nowMs) => {
      const agents = this.#context.agents.all();
      const byStatus = { active: 0, suspect: 0, draining: 0, inactive: 0 };
      for (const agent of agents) byStatus[agent.status] += 1;
      const tasks = Object.fromEntries(
        TASK_STATUSES.map((status) => [status, this.#context.tasks.countOf(status)]),
      ) as Record<TaskStatus, number>;
      return {
        total_agents: agents.length,
        active_agents: byStatus.active + byStatus.suspect,
        inactive_agents: byStatus.inactive,
        agents_by_status: byStatus,
        tasks,
        failure_count: this.#context.failures.countSince(nowMs - DAY_MS),
        recent_failures: this.#context.failures
          .list({}, null, RECENT_FAILURES)
          .items.map(({ failure }) => failure),
        groups: this.#context.agents.groups(),
        strategy: strategyFor(this.#context.settings.config.failover_config).name,
        config_version: this.#context.settings.version,
        safe_mode: { active: false, since: null, until: null, reason: null },
      };
    });
  }
}

const viewOfQueued = ({ task }: QueuedTask) => taskView(task);
const cursorOfQueued = ({ position }: QueuedTask) => `${position.urgency}:${position.number}`;

function positionOf(cursor: string | null): QueuePosition | null {
  const [urgency, number] = (cursor ?? "").split(":").map(Number);
  return Number.isFinite(urgency) && Number.isFinite(number)
    ? { urgency: urgency ?? 0, number: number ?? 0 }
    : null;
}
