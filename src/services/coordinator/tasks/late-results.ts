/**
 * Results that come when their attempt is over. Such work may have cost real money: as the
 * task's policy says it is kept with the task for somebody to accept, or accepted at once.
 * What comes for a task that is completed or cancelled is kept too, to be read.
 * Only what was in truth given to the agent counts, one result an attempt.
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { Task, TaskCompletion } from "../../../contract/task.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import { isFinished, isHeld, type TaskRecord } from "../../../domain/task.ts";
import { completedLate } from "../../../domain/task-lifecycle.ts";
import type { LateResultRecord } from "../../../storage/coordinator/late-results.ts";
import type { ClusterContext } from "../cluster-context.ts";
import type { AttemptLosses } from "../failover/attempt-loss.ts";
import { finishedAlready, noSuchTask } from "../refusals.ts";
import { taskView } from "../views.ts";
import type { Completions } from "./completions.ts";
import type { Placement } from "./placement.ts";

/** Late results kept of one task; a further one is rejected, since the first were told that they are kept. */
const KEPT = 20;

/** As a body over HTTP; in a batch a result may be larger. */
const RESULT_LIMIT_CHARACTERS = 262_144;

export class LateResults {
  readonly #context: ClusterContext;
  readonly #placement: Placement;
  readonly #losses: AttemptLosses;
  readonly #completions: Completions;

  constructor(
    context: ClusterContext,
    placement: Placement,
    losses: AttemptLosses,
    completions: Completions,
  ) {
    this.#context = context;
    this.#placement = placement;
    this.#losses = losses;
    this.#completions = completions;
  }

  /**
   * A result that is a repeat, or does not count any more.
   * @param refused what its sender is told
   * @returns that, with what became of the result; or the task that it completed
   */
  came(
    task: TaskRecord,
    { agent_id: agentId, attempt, result = null }: TaskCompletion,
    principal: Principal,
    refused: Outcome<never>,
    nowMs: number,
  ): Outcome<TaskRecord> {
    const given = this.#context.attempts.find(task.id, attempt);
    const caller = agentOf(principal);
    const isOwn = given?.agentId === agentId && (caller === null || caller.incarnation >= given.incarnation);
    if (!isOwn) return rejected(refused);
    // It completed the task: a repeat is answered as the first time.
    if (given.outcome === "completed") return ok(task);
    if (this.#context.lateResults.has(task.id, attempt)) return kept(refused, task);
    if (task.lateResultPolicy === "accept_if_unfinished" && !isFinished(task.status)) {
      return ok(this.#complete(task, { agentId, attempt, result, receivedAtMs: nowMs }, nowMs));
    }
    const isKept = task.lateResultPolicy !== "reject" && this.#keep(task, agentId, attempt, result, nowMs);
    return isKept ? kept(refused, task) : rejected(refused);
  }

  /** Somebody wants the task done with it. */
  accept(taskId: string, attempt: number, nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    const late = this.#context.lateResults.find(taskId, attempt);
    if (late === undefined) return refuse("not_found", "no late result of this attempt is kept");
    const isAccepted = this.#context.attempts.find(taskId, attempt)?.outcome === "completed";
    if (isAccepted) return ok(taskView(task));
    if (!isAcceptable(task)) return finishedAlready(task);
    return ok(taskView(this.#complete(task, late, nowMs)));
  }

  /** @returns whether there was room for it */
  #keep(task: TaskRecord, agentId: string, attempt: number, result: unknown, nowMs: number): boolean {
    const text = JSON.stringify(result);
    if (text.length > RESULT_LIMIT_CHARACTERS || task.lateResultCount >= KEPT || this.#context.isFull) {
      return false;
    }
    this.#context.lateResults.insert(task.id, attempt, agentId, text, nowMs);
    this.#context.saveTask(task, { ...task, lateResultCount: task.lateResultCount + 1 });
    this.#context.recordEvent(
      { type: "task.late_result", subject: task.id, data: { agent_id: agentId, attempt } },
      nowMs,
    );
    return true;
  }

  #complete(
    task: TaskRecord,
    { agentId, attempt, result, receivedAtMs }: LateResultRecord,
    nowMs: number,
  ): TaskRecord {
    if (isHeld(task.status)) this.#context.attempts.end(task.id, task.attempt, "overtaken", nowMs);
    this.#losses.tellHolder(task, "late_result_accepted", nowMs);
    const assignedAtMs = this.#context.attempts.find(task.id, attempt)?.assignedAtMs ?? null;
    const tookMs = receivedAtMs - (assignedAtMs ?? receivedAtMs);
    const done = this.#completions.complete(
      task,
      completedLate(task, { agentId, attempt, assignedAtMs, result }, nowMs),
      { tookMs, isLate: true },
      nowMs,
    );
    // It failed for good without ever having moved, and that is on somebody's desk.
    if (task.status === "failed" && task.reassignmentCount === 0) this.#context.reportSettled(task.id, nowMs);
    if (isHeld(task.status) && task.holder !== null) this.#placement.fill(task.holder, nowMs);
    return done;
  }
}

/** Whether a refusal tells of a result that was kept, and so has changed something. */
export function isKept(outcome: Outcome<unknown>): boolean {
  return !outcome.ok && outcome.problem.evidence?.late_result === "kept";
}

/** A completed task has its result, and a cancelled one is to have none: what comes for these is for reading alone. */
function isAcceptable({ status }: TaskRecord): boolean {
  return status !== "completed" && status !== "cancelled";
}

/** The detail promises no more than the task can bear. */
function kept(refused: Outcome<never>, task: TaskRecord): Outcome<never> {
  const purpose = isAcceptable(task) ? "until it is accepted" : "to be read, and cannot be accepted any more";
  return withFate(refused, "kept", `; its result is kept ${purpose}`);
}

function rejected(refused: Outcome<never>): Outcome<never> {
  return withFate(refused, "rejected", "");
}

function withFate(refused: Outcome<never>, fate: "kept" | "rejected", words: string): Outcome<never> {
  if (refused.ok) return refused;
  const { detail, evidence } = refused.problem;
  return {
    ok: false,
    problem: { ...refused.problem, detail: detail + words, evidence: { ...evidence, late_result: fate } },
  };
}
