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

/** Tasks of an agent that failed, which no other registered agent could take as it is. */
export function strandedTasksFailure({ id, job, agent }: StrandedTasks, nowMs: number): Failure {
  return failureRecord(
    {
      id,
      failureType: "no_suitable_agent",
      severity: job.isCritical ? "critical" : "error",
      message: `no registered agent can take ${tasksInWords(job.tasksStranded)} of ${job.agentId}; ${job.tasksStranded === 1 ? "it is" : "they are"} pending`,
      details: { task_ids: job.stranded, task_count: job.tasksStranded, caused_by: job.id },
      agent,
      taskCount: 0,
      lastSignMs: null,
    },
    nowMs,
  );
}

/** @property count pending tasks of the type; some of them have waited for `waitedMs` */
type LongQueue = {
  id: string;
  taskType: string;
  taskIds: readonly string[];
  count: number;
  waitedMs: number;
};

/** Tasks of a type that have waited for an agent for too long. */
export function longQueueFailure(
  { id, taskType, taskIds, count, waitedMs }: LongQueue,
  nowMs: number,
): Failure {
  const seconds = waitedMs / 1000;
  const message =
    count === 1
      ? `1 task of type ${taskType} has waited for an agent for ${seconds} s`
      : `${count} tasks of type ${taskType} are pending, and some have waited for an agent for ${seconds} s`;
  return failureRecord(
    {
      id,
      failureType: "no_suitable_agent",
      severity: "warning",
      message,
      details: {
        task_type: taskType,
        task_ids: [...taskIds],
        task_count: count,
        queue_warning_seconds: seconds,
      },
      agent: null,
      taskCount: 0,
      lastSignMs: null,
    },
    nowMs,
  );
}

const tasksInWords = (count: number) => (count === 1 ? "1 task" : `${count} tasks`);
