/** Agents, tasks and late results as the API shows them. */
import type { Agent } from "../../contract/agent.ts";
import { instant, instantOrNull, secondsOrNull } from "../../contract/instant.ts";
import type { LateResult, PendingCode, Task, TaskState } from "../../contract/task.ts";
import type { AgentRecord } from "../../domain/agent.ts";
import { reliabilityOf, samplesOf } from "../../domain/reliability.ts";
import type { TaskRecord } from "../../domain/task.ts";
import type { LateResultRecord } from "../../storage/coordinator/late-results.ts";

/** @param openTasks how many tasks the agent holds */
export function agentView(agent: AgentRecord, openTasks: number, nowMs: number): Agent {
  return {
    id: agent.id,
    group: agent.group,
    type: agent.type,
    capabilities: [...agent.capabilities],
    endpoint: agent.endpoint,
    labels: { ...agent.labels },
    max_concurrent_tasks: agent.maxConcurrentTasks,
    heartbeat_interval_seconds: agent.heartbeatIntervalMs / 1000,
    heartbeat_timeout_seconds: agent.heartbeatTimeoutMs / 1000,
    status: agent.status,
    drain: agent.drain && {
      mode: agent.drain.mode,
      by: agent.drain.by,
      deadline_at: instantOrNull(agent.drain.deadlineMs),
    },
    incarnation: agent.incarnation,
    registered_at: instant(agent.registeredAtMs),
    last_heartbeat_at: instantOrNull(agent.lastHeartbeatAtMs),
    // Only the group of a live agent knows it; the Worker adds it.
    deadline_at: null,
    task_count: openTasks,
    load: agent.load,
    reliability: reliabilityOf(agent.reliabilityHistory, nowMs),
    reliability_samples: samplesOf(agent.reliabilityHistory, nowMs),
    cooldown_until: instantOrNull(
      agent.cooldownUntilMs !== null && agent.cooldownUntilMs > nowMs ? agent.cooldownUntilMs : null,
    ),
    failure_count: agent.failureCount,
    tasks_completed: agent.tasksCompleted,
    tasks_failed: agent.tasksFailed,
    mean_task_seconds: agent.tasksCompleted === 0 ? null : agent.taskMsTotal / agent.tasksCompleted / 1000,
  };
}

/** Why a task waits. */
export type PendingView = { code: PendingCode | null; reason: string; until: string | null };

/** @param pending null if the task is not pending; TaskViews computes it otherwise */
export function taskView(task: TaskRecord, pending: PendingView | null = null): Task {
  return {
    id: task.id,
    type: task.type,
    priority: task.priority,
    data: task.data as Task["data"],
    status: task.status,
    assigned_to: task.status === "pending" ? null : task.holder,
    attempt: task.attempt,
    reassignment_count: task.reassignmentCount,
    previous_agents: [...task.previousAgents],
    backups: [...task.backups],
    group: task.group,
    required_labels: { ...task.requiredLabels },
    timeout_seconds: secondsOrNull(task.timeoutMs),
    progress_timeout_seconds: secondsOrNull(task.progressTimeoutMs),
    start_timeout_seconds: secondsOrNull(task.startTimeoutMs),
    late_result_policy: task.lateResultPolicy,
    progress: task.progress,
    progress_at: instantOrNull(task.progressAtMs),
    result: task.result as Task["result"],
    error: task.error === null ? null : { ...task.error },
    late_results: task.lateResultCount,
    pending_reason: pending?.reason ?? null,
    pending_code: pending?.code ?? null,
    pending_until: pending?.until ?? null,
    created_at: instant(task.createdAtMs),
    assigned_at: instantOrNull(task.assignedAtMs),
    started_at: instantOrNull(task.startedAtMs),
    finished_at: instantOrNull(task.finishedAtMs),
    deadline_at: instantOrNull(task.deadlineAtMs),
  };
}

export function lateResultView({ attempt, agentId, result, receivedAtMs }: LateResultRecord): LateResult {
  return {
    attempt,
    agent_id: agentId,
    result: result as LateResult["result"],
    received_at: instant(receivedAtMs),
  };
}

/** The task without its data and result. */
export function taskStateOf({ data: _, result: __, ...state }: Task): TaskState {
  return state;
}
