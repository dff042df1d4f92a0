/** The refusals that several parts of a coordinator give. */
import { type Outcome, refuse } from "../../contract/problem.ts";
import type { TaskRecord } from "../../domain/task.ts";

export function noSuchAgent(): Outcome<never> {
  return refuse("not_found", "there is no such agent in this cluster");
}

export function noSuchTask(): Outcome<never> {
  return refuse("not_found", "there is no such task in this cluster");
}

/** @param evidence the task of the report, if a report is refused */
export function sessionExpired(evidence?: { task_id: string }): Outcome<never> {
  return refuse("session_expired", "this incarnation has ended; register again", evidence);
}

export function staleAttempt(task: TaskRecord): Outcome<never> {
  return refuse(
    "stale_attempt",
    "this attempt of this agent is not the current one; stop working on it",
    currentAttemptOf(task),
  );
}

/** The attempt is the latest one and has ended. */
export function attemptEnded(task: TaskRecord): Outcome<never> {
  return refuse(
    "invalid_transition",
    "this attempt has ended and the task waits for an agent; until an agent has it, only a result is accepted",
    currentAttemptOf(task),
  );
}

export function alreadyFinished(task: TaskRecord): Outcome<never> {
  return refuse("invalid_transition", `the task is already ${task.status}`, {
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
