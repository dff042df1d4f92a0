/**
 * Finds single points of failure: compares the active agents with the tasks that they hold. Pure. Tasks are counted by
 * what they need, so that a hundred thousand of a kind cost as much as one.
 */
import type { SinglePoints } from "../contract/placement/failover-simulation.ts";
import { hardExclusion } from "./eligibility.ts";
import type { Candidate, PlaceableTask } from "./strategy.ts";

/** Unfinished tasks that need the same and are held by the same agent, or by none. */
export type Demand = {
  readonly type: string;
  readonly group: string | null;
  readonly requiredLabels: Readonly<Record<string, string>>;
  readonly holder: string | null;
  readonly count: number;
};

export type Findings = Omit<SinglePoints, "ready" | "tasks_without_backup"> & {
  /** The demands that only their holder can meet. */
  withoutBackup: Demand[];
};

export function findSinglePoints(
  candidates: readonly Candidate[],
  demands: readonly Demand[],
  criticalAgents: readonly string[],
): Findings {
  const active = candidates.filter(({ status }) => status === "active");
  const freeSlots = sum(active.map(freeSlotsOf));
  const held = demands.filter(({ holder }) => holder !== null);
  const busiest = active.reduce<Candidate | null>(
    (most, one) => (most === null || one.openTasks > most.openTasks ? one : most),
    null,
  );
  return {
    missing: missing(active, demands),
    single_capabilities: singleCapabilities(active),
    withoutBackup: held.filter(
      (demand) => !active.some((one) => one.id !== demand.holder && couldDo(one, demand)),
    ),
    critical_agents_without_backup: criticalAgents.flatMap((id) => unbacked(id, active, held)),
    groups_at_risk: groupsAtRisk(active, held),
    free_slots: freeSlots,
    slots_short: busiest === null ? 0 : Math.max(0, busiest.openTasks - (freeSlots - freeSlotsOf(busiest))),
  };
}

/** What no failure has to happen for. */
function missing(active: readonly Candidate[], demands: readonly Demand[]): string[] {
  if (active.length === 0) return ["no agent is active: start at least two agents for each task type"];
  const waiting = new Map<string, number>();
  for (const { holder, type, count } of demands) {
    const isSkilled = holder !== null || active.some(({ capabilities }) => capabilities.includes(type));
    if (!isSkilled) waiting.set(type, (waiting.get(type) ?? 0) + count);
  }
  return [...waiting].map(
    ([type, count]) =>
      `no active agent can do ${type}: ${count} pending ${count === 1 ? "task needs" : "tasks need"} one`,
  );
}

function singleCapabilities(active: readonly Candidate[]): Findings["single_capabilities"] {
  const holders = new Map<string, string[]>();
  for (const { id, capabilities } of active) {
    for (const capability of capabilities) holders.set(capability, [...(holders.get(capability) ?? []), id]);
  }
  return [...holders]
    .flatMap(([capability, ids]) =>
      ids.length === 1 && ids[0] !== undefined ? [{ capability, agent_id: ids[0] }] : [],
    )
    .sort((a, b) => (a.capability < b.capability ? -1 : 1));
}

/** A critical agent has a backup if another agent has each of its capabilities and can take each of its tasks. */
function unbacked(
  id: string,
  active: readonly Candidate[],
  held: readonly Demand[],
): Findings["critical_agents_without_backup"] {
  const agent = active.find((one) => one.id === id);
  if (agent === undefined) return [{ agent_id: id, detail: "the agent is not active" }];
  const others = active.filter((one) => one.id !== id);
  const alone = agent.capabilities.filter(
    (type) => !others.some(({ capabilities }) => capabilities.includes(type)),
  );
  if (alone.length > 0) return [{ agent_id: id, detail: `no other agent can do ${alone.join(", ")}` }];
  const stuck = sum(
    held
      .filter(({ holder }) => holder === id)
      .filter((demand) => !others.some((one) => couldDo(one, demand)))
      .map(({ count }) => count),
  );
  return stuck === 0 ? [] : [{ agent_id: id, detail: `no other agent can take ${stuck} of its tasks` }];
}

function groupsAtRisk(active: readonly Candidate[], held: readonly Demand[]): Findings["groups_at_risk"] {
  const groupOf = new Map(active.map(({ id, group }) => [id, group]));
  const groups = new Set(groupOf.values());
  // A cluster with one group does not use groups to limit failures.
  if (groups.size < 2) return [];
  return [...groups].sort().flatMap((group) => {
    const inside = held.filter(({ holder }) => holder !== null && groupOf.get(holder) === group);
    const outside = active.filter((one) => one.group !== group);
    const movable = inside.filter((demand) => outside.some((one) => couldDo(one, demand)));
    const stranded = sum(inside.map(({ count }) => count)) - sum(movable.map(({ count }) => count));
    const short = Math.max(0, sum(movable.map(({ count }) => count)) - sum(outside.map(freeSlotsOf)));
    return stranded + short === 0 ? [] : [{ group, stranded_tasks: stranded, slots_short: short }];
  });
}

/** Whether the agent can do such a task, apart from free slots. */
function couldDo(candidate: Candidate, demand: Demand): boolean {
  const task: PlaceableTask = {
    ...demand,
    id: "",
    priority: 0,
    previousAgents: [],
    backups: [],
    hasOwnBackups: false,
  };
  const exclusion = hardExclusion(task, candidate);
  return exclusion === null || exclusion.reason === "at_capacity";
}

function freeSlotsOf({ maxConcurrentTasks, openTasks }: Candidate): number {
  return Math.max(0, maxConcurrentTasks - openTasks);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
