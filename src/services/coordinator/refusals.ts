/** The refusals that several parts of a coordinator give. */
import { type Outcome, refuse } from "../../contract/problem.ts";
import type { TaskRecord } from "../../domain/task.ts";

export function noSuchAgent(): Outcome<never> {
  return refuse("not_found", "there is no such agent in this cluster");
}

export function noSuchTask(): Outcome<never> {
  return refuse("not_found", "there is no such task in this cluster");
}

export function finishedAlready(task: TaskRecord): Outcome<never> {
  return refuse("invalid_transition", `the task is ${task.status}`, {
    task_status: task.status,
    attempt: task.attempt,
  });
}
