/**
 * Late results: results that arrive when their attempt has ended. Such work may have cost money. As the task's policy
 * says, a late result is stored with the task until a person accepts it, or it is accepted at once. A result for a
 * completed or cancelled task is stored for reading. Only the agent that the attempt was given to can report one, and
 * one result is stored for each attempt.
 */
import { type Outcome, ok, refuse } from "../../../contract/problem.ts";
import type { Task, TaskCompletion } from "../../../contract/task.ts";
import { agentOf, type Principal } from "../../../domain/principal.ts";
import { isFinished, isHeld, type TaskRecord } from "../../../domain/task.ts";
import { completedLate } from "../../../domain/task-lifecycle.ts";
import type { LateResultRecord } from "../../../storage/coordinator/late-results.ts";
import type { ClusterContext } from "../cluster-context.ts";
import { alreadyFinished, noSuchTask } from "../refusals.ts";
import { taskView } from "../wire-views.ts";
import type { Completions } from "./completions.ts";
import type { SlotFiller } from "./slot-filler.ts";

/** Late results stored of one task. A further one is rejected: the earlier ones were acknowledged as stored. */
const KEPT = 20;

/** The same as the limit of a body over HTTP; a result in a batch may be larger. */
const RESULT_LIMIT_CHARACTERS = 262_144;

/** A result that is a repeat, or that no longer counts. */
export type LateReport = {
  task: TaskRecord;
  body: TaskCompletion;
  principal: Principal;
  /** How the report is refused if it is not a repeat and is not accepted. */
  refusal: Outcome<never>;
};

type Needs = Pick<
  ClusterContext,
  "attempts" | "isFull" | "lateResults" | "tasks" | "wakeups" | "recordEvent" | "reportSettled" | "saveTask"
>;
type Parts = { completions: Pick<Completions, "complete">; slots: Pick<SlotFiller, "fill"> };

export class LateResults {
  readonly #context: Needs;
  readonly #parts: Parts;

  constructor(context: Needs, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** @returns the task that the result completed, or the refusal, which says whether the result is stored */
  receive({ task, body, principal, refusal }: LateReport, nowMs: number): Outcome<TaskRecord> {
    const { agent_id: agentId, attempt: number, result = null } = body;
    const attempt = this.#context.attempts.find(task.id, number);
    const caller = agentOf(principal);
    const isOwn =
      attempt?.agentId === agentId && (caller === null || caller.incarnation >= attempt.incarnation);
    if (!isOwn) return rejected(refusal);
    // A repeat of the report that completed the task gets the same answer.
    if (attempt.outcome === "completed") return ok(task);
    if (this.#context.lateResults.has(task.id, number)) return kept(refusal, task);
    const late: LateResultRecord = {
      taskId: task.id,
      attempt: number,
      agentId,
      result,
      receivedAtMs: nowMs,
    };
    if (task.lateResultPolicy === "accept_if_unfinished" && !isFinished(task.status)) {
      return ok(this.#complete(task, late, nowMs));
    }
    const isKept = task.lateResultPolicy !== "reject" && this.#keep(task, late);
    return isKept ? kept(refusal, task) : rejected(refusal);
  }

  /** A person accepts the result of that attempt: it completes the task. */
  accept(taskId: string, attempt: number, nowMs: number): Outcome<Task> {
    const task = this.#context.tasks.store.find(taskId);
    if (task === undefined) return noSuchTask();
    const late = this.#context.lateResults.find(taskId, attempt);
    if (late === undefined)
      return refuse(
        "not_found",
        "no late result of this attempt is stored; GET /v1/clusters/{cluster}/tasks/{task}/late-results lists them",
      );
    const isAccepted = this.#context.attempts.find(taskId, attempt)?.outcome === "completed";
    if (isAccepted) return ok(taskView(task));
    if (!isAcceptable(task)) return alreadyFinished(task);
    return ok(taskView(this.#complete(task, late, nowMs)));
  }

  /** @returns whether there was room for the result */
  #keep(task: TaskRecord, late: LateResultRecord): boolean {
    const text = JSON.stringify(late.result);
    if (text.length > RESULT_LIMIT_CHARACTERS || task.lateResultCount >= KEPT || this.#context.isFull) {
      return false;
    }
    this.#context.lateResults.insert(late);
    this.#context.saveTask(task, { ...task, lateResultCount: task.lateResultCount + 1 });
    this.#context.recordEvent(
      { type: "task.late_result", subject: task.id, data: { agent_id: late.agentId, attempt: late.attempt } },
      late.receivedAtMs,
    );
    return true;
  }

  #complete(
    task: TaskRecord,
    { agentId, attempt, result, receivedAtMs }: LateResultRecord,
    nowMs: number,
  ): TaskRecord {
    if (isHeld(task.status)) this.#context.attempts.end(task, "overtaken", nowMs);
    this.#context.wakeups.revokeAttempt(task, "late_result_accepted", nowMs);
    const assignedAtMs = this.#context.attempts.find(task.id, attempt)?.assignedAtMs ?? null;
    const tookMs = receivedAtMs - (assignedAtMs ?? receivedAtMs);
    const done = completedLate(task, { agentId, attempt, assignedAtMs, result }, nowMs);
    this.#parts.completions.complete({ before: task, done, tookMs, isLate: true }, nowMs);
    // The task failed for good without a reassignment, and its failure is still open.
    if (task.status === "failed" && task.reassignmentCount === 0) this.#context.reportSettled(task.id, nowMs);
    if (isHeld(task.status) && task.holder !== null) this.#parts.slots.fill(task.holder, nowMs);
    return done;
  }
}

/** Whether the result was stored although the report was refused: then the commit has to be kept. */
export function isKept(outcome: Outcome<unknown>): boolean {
  return !outcome.ok && outcome.problem.evidence?.late_result === "kept";
}

/** A completed task has its result, and a cancelled task gets none: late results of these are only for reading. */
function isAcceptable({ status }: TaskRecord): boolean {
  return status !== "completed" && status !== "cancelled";
}

function kept(refusal: Outcome<never>, task: TaskRecord): Outcome<never> {
  const purpose = isAcceptable(task) ? "until it is accepted" : "for reading only, since the task has ended";
  return withLateResult(refusal, "kept", `; its result is kept ${purpose}`);
}

function rejected(refusal: Outcome<never>): Outcome<never> {
  return withLateResult(refusal, "rejected", "");
}

function withLateResult(
  refusal: Outcome<never>,
  lateResult: "kept" | "rejected",
  words: string,
): Outcome<never> {
  if (refusal.ok) return refusal;
  const { detail, evidence } = refusal.problem;
  const problem = {
    ...refusal.problem,
    detail: detail + words,
    evidence: { ...evidence, late_result: lateResult },
  };
  return { ok: false, problem };
}
