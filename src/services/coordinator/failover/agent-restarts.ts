/**
 * Agents whose process was replaced while it was live: systemd and the like start a crashed process again under its old
 * id, or two processes use one id by mistake. A registration records the first as `agent_restarted`. If the replaced
 * process is heard of again, both live, and the record becomes `duplicate_agent_id`.
 *
 *   none --replaced by another process--> agent_restarted --replaced process heard of--> duplicate_agent_id
 */
import type { Failure } from "../../../contract/failure.ts";
import type { AgentRecord, ReplacedIncarnation } from "../../../domain/agent.ts";
import { withEvent } from "../../../domain/reliability.ts";
import { CONFLICT_MS } from "../../../domain/replacement.ts";
import type { TaskRecord } from "../../../domain/task.ts";
import type { ReplacedAgentAlive } from "../../../protocol/messages.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { Failover } from "./failover.ts";
import { failureRecord } from "./failure-record.ts";
import { counted, type ReassignmentResult } from "./task-reassigner.ts";

/**
 * @property instance the process that registers
 * @property lastSignMs of the replaced incarnation, null if its group does not know it
 * @property locks the resources that it held
 */
export type Restart = { instance: string | null; lastSignMs: number | null; locks: readonly string[] };

type Crash = { failureId: string; lost: readonly TaskRecord[] };

type Needs = Pick<
  ClusterContext,
  | "agents"
  | "failures"
  | "host"
  | "outbox"
  | "announceFailure"
  | "announceReleases"
  | "recordFailure"
  | "reportRecovery"
>;

export class AgentRestarts {
  readonly #context: Needs;
  readonly #failover: Pick<Failover, "conclude">;

  constructor(context: Needs, failover: Pick<Failover, "conclude">) {
    this.#context = context;
    this.#failover = failover;
  }

  /** Records the crash of the live incarnation, which counts for the agent's reliability. @returns what was replaced */
  record(agent: AgentRecord, restart: Restart, nowMs: number): ReplacedIncarnation {
    const failureId = this.#context.host.randomId();
    const { id, incarnation } = agent;
    const by = restart.instance === null ? "another process" : `the process ${restart.instance}`;
    const failure = failureRecord(
      {
        id: failureId,
        failureType: "agent_restarted",
        severity: "warning",
        message: `${id}: ${by} registered the id of a live agent, so the process before it is taken to have crashed`,
        details: { incarnation, ...instancesOf(agent.instance, restart.instance) },
        agent,
        taskCount: this.#context.agents.openTasksOf(id),
        lastSignMs: restart.lastSignMs,
        locksReleased: restart.locks,
      },
      Math.max(nowMs, restart.lastSignMs ?? 0),
    );
    this.#context.recordFailure(failure, null, nowMs);
    this.#context.announceReleases(id, restart.locks, nowMs);
    this.#context.agents.save({
      ...agent,
      failureCount: agent.failureCount + 1,
      reliabilityHistory: withEvent(agent.reliabilityHistory, "agent_failed", nowMs),
    });
    return { incarnation, instance: agent.instance, failureId };
  }

  /** @param crash with the tasks whose attempt was lost, as they are now */
  conclude(agentId: string, { failureId, lost }: Crash, nowMs: number): void {
    const none: ReassignmentResult = {
      id: failureId,
      agentId,
      tasksReassigned: 0,
      tasksPending: 0,
      tasksFailed: 0,
      stranded: [],
      moved: [],
    };
    this.#failover.conclude(lost.reduce(counted, none), nowMs);
  }

  /** The group has heard of the replaced incarnation again. */
  replacedAgentAlive({ agentId, incarnation }: ReplacedAgentAlive, nowMs: number): void {
    const agent = this.#context.agents.find(agentId);
    if (agent?.replaced?.incarnation === incarnation) this.recordDuplicate(agent, nowMs);
  }

  /** Whether the record of what the agent replaced says that it crashed. */
  isRecordedAsRestart({ replaced }: AgentRecord): boolean {
    if (replaced === null) return false;
    return this.#context.failures.find(replaced.failureId)?.failure_type === "agent_restarted";
  }

  /** Two processes live under the id. Others are refused for a while, and the holder stays. */
  recordDuplicate(agent: AgentRecord, nowMs: number): void {
    this.#context.agents.save({ ...agent, conflictUntilMs: nowMs + CONFLICT_MS });
    const recorded =
      agent.replaced === null ? undefined : this.#context.failures.find(agent.replaced.failureId);
    if (recorded === undefined || recorded.failure_type !== "agent_restarted") return;
    const failure: Failure = {
      ...recorded,
      failure_type: "duplicate_agent_id",
      severity: "error",
      message: `${agent.id}: two processes use this agent id: ${nameOf(agent.replaced?.instance)} and ${nameOf(agent.instance)}. The later one holds the id; give each process an id of its own`,
    };
    this.#context.failures.update(failure);
    this.#context.announceFailure(failure, nowMs);
    this.#context.outbox.send("notifier", { type: "failure_recorded", stage: "corrected", failure });
    // The holder of the id lives: the incident is over for it, also if it is a new one.
    this.#context.reportRecovery(agent.id, "returned", nowMs);
  }
}

function instancesOf(replaced: string | null, by: string | null) {
  return { replaced_instance: replaced, instance: by };
}

const nameOf = (instance: string | null | undefined) => instance ?? "one without a name";
