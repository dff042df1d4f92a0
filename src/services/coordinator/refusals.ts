/** The refusals that several parts of a coordinator give. */
import { type Outcome, refuse } from "../../contract/problem.ts";
import type { TaskRecord } from "../../domain/task.ts";

export function noSuchAgent(): Outcome<never> {
  return refuse("not_found", "there is no such agent in this cluster");
}

export function noSuchTask(): Outcome<never> {
  return refuse("not_found", "there is no such task in this cluster");
}

export function incarnationOver(): Outcome<never> {
  return refuse("session_expired", "this incarnation is over; register again");
}

export function staleAttempt(task: TaskRecord): Outcome<never> {
  return refuse("stale_attempt", "this attempt of this agent is not the current one", whereItIs(task));
}

/** The attempt is the last one, and is over. */
export function takenAway(task: TaskRecord): Outcome<never> {
  return refuse(
    "invalid_transition",
    "the task was taken from this attempt and waits for an agent; until one has it, a result still counts",
    whereItIs(task),
  );
}

export function finishedAlready(task: TaskRecord): Outcome<never> {
  return refuse("invalid_transition", `the task is ${task.status}`, {
    task_status: task.status,
    attempt: task.attempt,
  });
}

function whereItIs(task: TaskRecord) {
  return {
    attempt: task.attempt,
    assigned_to: task.status === "pending" ? null : task.holder,
    task_status: task.status,
  };
}
