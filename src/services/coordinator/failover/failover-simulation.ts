/**
 * Simulated failures. A simulation runs the code of a real failover in a transaction that is rolled back. Readiness
 * finds single points of failure.
 */
import type {
  FailoverSimulation,
  SimulatedFailover,
  SinglePoints,
} from "../../../contract/placement/failover-simulation.ts";
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import { type AgentRecord, isLive } from "../../../domain/agent.ts";
import type { HeldTask } from "../../../storage/coordinator/tasks/held-tasks.ts";
import { type Demand, findSinglePoints } from "../../../strategies/readiness.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { noSuchAgent } from "../refusals.ts";
import type { Failover } from "./failover.ts";

/** Tasks one simulation may touch: its answer has a decision for each. */
const SIMULATED_TASK_LIMIT = 2000;

/** Tasks without a backup that are listed; the count covers all. */
const TASKS_NAMED = 50;

/** Without the locks, which the groups know. */
export type SimulatedReassignment = Omit<SimulatedFailover, "locks_released" | "locks_released_count">;

type Needs = Pick<ClusterContext, "agents" | "decisions" | "settings" | "tasks">;
type FailoverSteps = Pick<Failover, "agentEnded" | "hasWork" | "runSlice">;

export class FailoverSimulator {
  readonly #context: Needs;
  readonly #failover: FailoverSteps;

  constructor(context: Needs, failover: FailoverSteps) {
    this.#context = context;
    this.#failover = failover;
  }

  /** Has to run in a unit of work that is rolled back. */
  simulateFailover({ agents, groups }: FailoverSimulation, nowMs: number): Outcome<SimulatedReassignment> {
    const failing = new Map<string, AgentRecord>();
    for (const id of agents) {
      const agent = this.#context.agents.find(id);
      if (agent === undefined || agent.isLeaving) return noSuchAgent();
      failing.set(id, agent);
    }
    for (const group of groups) {
      if (!this.#context.agents.groups().includes(group)) {
        return refuse("not_found", `there is no group ${group} in this cluster`);
      }
      for (const agent of this.#context.agents.all()) if (agent.group === group) failing.set(agent.id, agent);
    }
    const live = [...failing.values()].filter(({ status }) => isLive(status));
    const affected = live.flatMap(({ id }) =>
      this.#context.tasks.store.held.briefly(id, SIMULATED_TASK_LIMIT + 1),
    );
    if (affected.length > SIMULATED_TASK_LIMIT) {
      return refuse(
        "limit_reached",
        `a simulation may touch at most ${SIMULATED_TASK_LIMIT} tasks; name fewer agents`,
      );
    }
    for (const agent of live) this.#failover.agentEnded(simulatedEnd(agent, nowMs), nowMs);
    while (this.#failover.hasWork) this.#failover.runSlice(nowMs);
    const tasks = affected.map((before) => this.#outcomeOf(before));
    return ok({
      agents: live.map(({ id, group }) => ({ agent_id: id, group })),
      tasks,
      stranded: tasks
        .filter(({ status, to }) => status === "pending" || (to === null && status !== "failed"))
        .map(({ task_id }) => task_id),
      failed: tasks.filter(({ status }) => status === "failed").map(({ task_id }) => task_id),
      load_after: this.#context.agents
        .all()
        .filter(({ status }) => isLive(status))
        .map(({ id, maxConcurrentTasks }) => ({
          agent_id: id,
          task_count: this.#context.agents.openTasksOf(id),
          max_concurrent_tasks: maxConcurrentTasks,
        })),
    });
  }

  readiness(): SinglePoints {
    const { critical_agents } = this.#context.settings.config.failover_config;
    const candidates = [...this.#context.agents.candidates()];
    const { withoutBackup, ...findings } = findSinglePoints(
      candidates,
      this.#context.tasks.store.demand.all(),
      critical_agents,
    );
    const count = withoutBackup.reduce((sum, demand) => sum + demand.count, 0);
    return {
      ready:
        count === 0 &&
        findings.missing.length === 0 &&
        findings.single_capabilities.length === 0 &&
        findings.critical_agents_without_backup.length === 0 &&
        findings.groups_at_risk.length === 0 &&
        findings.slots_short === 0,
      ...findings,
      tasks_without_backup: { count, task_ids: this.#taskIdsOf(withoutBackup) },
    };
  }

  #taskIdsOf(demands: readonly Demand[]): string[] {
    const ids: string[] = [];
    for (const demand of demands) {
      if (ids.length >= TASKS_NAMED) break;
      ids.push(...this.#context.tasks.store.demand.heldTaskIds(demand, TASKS_NAMED - ids.length));
    }
    return ids;
  }

  /** Where a task went in the simulated failover. */
  #outcomeOf(before: HeldTask): SimulatedFailover["tasks"][number] {
    const after = this.#context.tasks.store.find(before.id);
    const latest = this.#context.decisions.firstAfter(before.id, before.decisionCount);
    const hasMoved = after !== undefined && after.attempt > before.attempt;
    return {
      task_id: before.id,
      from: before.holder,
      to: hasMoved ? after.holder : null,
      status: after?.status ?? "pending",
      decision: latest ?? null,
    };
  }
}

function simulatedEnd(agent: AgentRecord, nowMs: number) {
  return {
    type: "agent_ended",
    agentId: agent.id,
    incarnation: agent.incarnation,
    group: agent.group,
    ending: "failed",
    failureId: `simulated-${agent.id}`,
    failureType: "heartbeat_timeout",
    message: "simulated",
    details: {},
    lastSignMs: nowMs,
    declaredAtMs: nowMs,
    locksReleased: [],
  } as const;
}
