/** The refusals that several parts of a coordinator give. */
import { type Outcome, refuse } from "../../contract/problem.ts";
import { type AgentRecord, isLive } from "../../domain/agent.ts";
import type { AgentPrincipal } from "../../domain/principal.ts";
import { expiredSession, type SessionEnd } from "../../domain/session-end.ts";
import type { TaskRecord } from "../../domain/task.ts";

export function noSuchAgent(): Outcome<never> {
  return refuse(
    "not_found",
    "no agent with this id is registered in this cluster; check the id and the cluster. GET /v1/clusters/{cluster}/agents lists the agents",
  );
}

export function noSuchTask(): Outcome<never> {
  return refuse(
    "not_found",
    "no task with this id exists in this cluster; check the id and the cluster. A finished task is deleted after its retention",
  );
}

/**
 * @param agent the agent as it is registered now
 * @param evidence the task of the report, if a report is refused
 */
export function sessionExpired(
  agent: AgentRecord | undefined,
  caller: AgentPrincipal,
  evidence?: { task_id: string },
): Outcome<never> {
  return expiredSession(endOf(agent, caller), evidence);
}

function endOf(agent: AgentRecord | undefined, { incarnation }: AgentPrincipal): SessionEnd {
  if (agent === undefined || agent.isLeaving) return { reason: "unregistered", supersededBy: null };
  if (isLive(agent.status) && agent.incarnation > incarnation) {
    return { reason: "superseded", supersededBy: agent.instance };
  }
  return { reason: "failed", supersededBy: null };
}

export function staleAttempt(task: TaskRecord): Outcome<never> {
  return refuse(
    "stale_attempt",
    "this attempt of the task is no longer current; stop working on it",
    currentAttemptOf(task),
  );
}

/** The attempt is the latest one and has ended. */
export function attemptEnded(task: TaskRecord): Outcome<never> {
  return refuse(
    "invalid_transition",
    "this attempt has ended and the task is pending; stop working on it, or send its result with complete",
    currentAttemptOf(task),
  );
}

export function alreadyFinished(task: TaskRecord): Outcome<never> {
  return refuse("invalid_transition", `the task is already ${task.status}; nothing was changed`, {
    task_status: task.status,
    attempt: task.attempt,
  });
}

function currentAttemptOf(task: TaskRecord) {
  return {
    attempt: task.attempt,
    assigned_to: task.status === "pending" ? null : task.holder,
    task_status: task.status,
  };
}
