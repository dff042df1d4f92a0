/** The records of failures: their severity and message, and the state of the agent at that moment. */
import type { Failure, Severity } from "../../../contract/failure.ts";
import { instant, instantOrNull } from "../../../contract/instant.ts";
import type { AgentRecord } from "../../../domain/agent.ts";
import { reliabilityOf } from "../../../domain/reliability.ts";
import type { ReassignmentJob } from "../../../storage/coordinator/reassignment-jobs.ts";

export type FailureFacts = {
  id: string;
  failureType: string;
  severity: Severity;
  message: string;
  details: Record<string, unknown>;
  agent: AgentRecord | null;
  taskCount: number;
  lastSignMs: number | null;
  locksReleased?: readonly string[];
};

export function failureRecord(facts: FailureFacts, nowMs: number): Failure {
  const { agent, lastSignMs } = facts;
  return {
    id: facts.id,
    at: instant(nowMs),
    agent_id: agent?.id ?? null,
    group: agent?.group ?? null,
    failure_type: facts.failureType,
    severity: facts.severity,
    message: facts.message,
    details: facts.details as Failure["details"],
    agent: agent && {
      type: agent.type,
      capabilities: [...agent.capabilities],
      task_count: facts.taskCount,
      last_heartbeat_at: instantOrNull(lastSignMs ?? agent.lastHeartbeatAtMs),
      reliability: reliabilityOf(agent.reliabilityHistory, nowMs),
    },
    detection_seconds: lastSignMs === null ? null : (nowMs - lastSignMs) / 1000,
    tasks_reassigned: 0,
    tasks_pending: 0,
    tasks_failed: 0,
    locks_released: [...(facts.locksReleased ?? [])],
  };
}

type StrandedTasks = { id: string; job: ReassignmentJob; agent: AgentRecord | null };

/** Tasks of an agent that ended, which no other agent can take now. */
export function strandedTasksFailure({ id, job, agent }: StrandedTasks, nowMs: number): Failure {
  return failureRecord(
    {
      id,
      failureType: "no_suitable_agent",
      severity: job.isCritical ? "critical" : "error",
      message: `no agent can take ${job.tasksPending} task(s) of ${job.agentId} now; they are pending`,
      details: { task_ids: job.stranded, task_count: job.tasksPending, caused_by: job.id },
      agent,
      taskCount: 0,
      lastSignMs: null,
    },
    nowMs,
  );
}
