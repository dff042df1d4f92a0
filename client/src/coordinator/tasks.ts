/** The tasks of a cluster, for producers and operators. */
import { sleep } from "../cancellation.ts";
import { errorOf, FailoverError } from "../errors.ts";
import type { Call, CallOptions, Http } from "../http.ts";
import { backoffMs, isTransient } from "../retry.ts";
import type { Decision, LateResult, Task, TaskFilter, TaskSubmission } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

/** A task, and the decision that placed it; null if no placement was needed. */
export type Placement = { task: Task; decision: Decision | null };

/** The result for one task of a batch. */
export type Submitted =
  | (Placement & { error?: never })
  | { error: FailoverError; task?: never; decision?: never };

export type WaitOptions = CallOptions & {
  /** Longest wait for the end of the task. Default 600. */
  waitSeconds?: number | undefined;
};

/** Most tasks that the coordinator takes in one batch. */
const BATCH_LIMIT = 1000;

/** Longest wait in one call. */
const WAIT_LIMIT_SECONDS = 30;
/** Between the calls of a wait while the coordinator is down. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 1000;

/**
 * Whether the task has ended: completed, failed or cancelled.
 * @example
 * console.log(isFinished(await coordinator.tasks.get("task1")));
 */
export const isFinished = ({ status }: Task): boolean =>
  ["completed", "failed", "cancelled"].includes(status);

export class Tasks {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Submits a task. Without an `id` the client chooses one, so that the call is safe to repeat.
   * @throws {TaskExistsError} a task with this id and other content exists
   * @example
   * const { task, decision } = await coordinator.tasks.submit({ type: "task_type1", priority: 8, data: { input: 1 } });
   * console.log(task.status, task.assigned_to, decision?.explanation);
   */
  submit(task: TaskSubmission, options?: CallOptions): Promise<Placement> {
    return this.#http.call("POST", "/tasks", { ...options, body: withId(task), isRepeatable: true });
  }

  /**
   * Submits any number of tasks, 1,000 per call. A refused task does not affect the others.
   * @returns the result for each, in order
   * @example
   * const results = await coordinator.tasks.submitAll([{ type: "task_type1" }, { type: "task_type3" }]);
   * for (const { task, error } of results) console.log(task?.id ?? error?.detail);
   */
  async submitAll(tasks: readonly TaskSubmission[], options?: CallOptions): Promise<Submitted[]> {
    const all: Submitted[] = [];
    for (let from = 0; from < tasks.length; from += BATCH_LIMIT) {
      const body = { tasks: tasks.slice(from, from + BATCH_LIMIT).map(withId) };
      const call = { ...options, body, isRepeatable: true };
      type Item = Placement & { error?: { status: number } };
      const { results } = await this.#http.call<{ results: Item[] }>("POST", "/tasks/batch", call);
      for (const { task, decision, error } of results) {
        all.push(error ? { error: errorOf(error.status, error) } : { task, decision });
      }
    }
    return all;
  }

  /**
   * The current state of a task.
   * @throws {NotFoundError}
   * @example
   * const { status, assigned_to, progress } = await coordinator.tasks.get("task1");
   * console.log(status, assigned_to, progress);
   */
  get(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("GET", pathOf(id), options);
  }

  /**
   * Waits until the task has ended, also while the coordinator is down or restarts.
   * @returns the task; still unfinished after `waitSeconds` (default 600)
   * @throws {ConnectionError} the coordinator is down at that time
   * @example
   * await coordinator.tasks.submit({ id: "report-7", type: "task_type1" });
   * const task = await coordinator.tasks.wait("report-7", { waitSeconds: 1 });
   * console.log(task.status, task.result);
   */
  async wait(id: string, { waitSeconds = 600, ...options }: WaitOptions = {}): Promise<Task> {
    const untilMs = performance.now() + waitSeconds * 1000;
    for (let tries = 0; ; tries++) {
      const leftSeconds = Math.max(0, (untilMs - performance.now()) / 1000);
      const wait_seconds = Math.min(leftSeconds, WAIT_LIMIT_SECONDS);
      const timeoutSeconds = wait_seconds + (options.timeoutSeconds ?? 10);
      const call = { ...options, query: { wait_seconds }, timeoutSeconds };
      try {
        // A call without a wait has the usual retries.
        const task = await this.#task("GET", pathOf(id), waitSeconds > 0 ? { ...call, retries: 0 } : call);
        if (isFinished(task) || performance.now() >= untilMs) return task;
        tries = 0;
      } catch (error) {
        const leftMs = untilMs - performance.now();
        if (!isTransient(error) || leftMs <= 0) throw error;
        const after = (error instanceof FailoverError && error.retryAfterSeconds) || 0;
        const pauseMs = after * 1000 + backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        await sleep(Math.min(pauseMs, leftMs), options.signal);
        options.signal?.throwIfAborted();
      }
    }
  }

  /**
   * Newest first.
   * @example
   * for await (const task of coordinator.tasks.list({ status: "pending" })) console.log(task.pending_reason);
   */
  list(filter: TaskFilter & PageOptions = {}, options?: CallOptions): Listing<Task> {
    return listing(this.#http, "/tasks", { filter, options });
  }

  /**
   * Every placement decision of a task, oldest first, each with an explanation and the scores.
   * @throws {NotFoundError}
   * @example
   * for await (const decision of coordinator.tasks.decisions("task1")) console.log(decision.explanation);
   */
  decisions(id: string, filter: PageOptions = {}, options?: CallOptions): Listing<Decision> {
    return listing(this.#http, pathOf(id, "/decisions"), { filter, options });
  }

  /**
   * Cancels an unfinished task. The agent that runs it is notified.
   * @throws {InvalidTransitionError} the task has ended
   * @example
   * await coordinator.tasks.cancel("task1");
   */
  cancel(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("POST", pathOf(id, "/cancel"), options);
  }

  /**
   * Makes a failed task pending again and resets its counts.
   * @throws {InvalidTransitionError} the task has not failed
   * @example
   * for await (const { id } of coordinator.tasks.list({ status: "failed" })) await coordinator.tasks.retry(id);
   */
  retry(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("POST", pathOf(id, "/retry"), options);
  }

  /**
   * Sets the agents to fail over to, in order; 16 at most.
   * @throws {InvalidTransitionError} the task has ended
   * @example
   * await coordinator.tasks.setBackups("task1", ["agent2", "agent3"]);
   */
  setBackups(id: string, backups: readonly string[], options?: CallOptions): Promise<Task> {
    return this.#task("PUT", pathOf(id, "/backups"), { ...options, body: { backups } });
  }

  /**
   * Results of attempts that were no longer current, kept for inspection.
   * @throws {NotFoundError}
   * @example
   * for await (const late of coordinator.tasks.lateResults("task1")) console.log(late.attempt, late.result);
   */
  lateResults(id: string, filter: PageOptions = {}, options?: CallOptions): Listing<LateResult> {
    return listing(this.#http, pathOf(id, "/late-results"), { filter, options });
  }

  /**
   * Completes the task with a late result and revokes its current attempt.
   * @throws {NotFoundError} no result of this attempt is kept
   * @example
   * const { items } = await coordinator.tasks.lateResults("task1");
   * if (items[0] !== undefined) await coordinator.tasks.acceptLateResult("task1", items[0].attempt);
   */
  acceptLateResult(id: string, attempt: number, options?: CallOptions): Promise<Task> {
    return this.#task("POST", pathOf(id, `/late-results/${attempt}/accept`), options);
  }

  async #task(method: string, path: string, call?: Call): Promise<Task> {
    return (await this.#http.call<{ task: Task }>(method, path, call)).task;
  }
}

const pathOf = (id: string, rest = "") => `/tasks/${encodeURIComponent(id)}${rest}`;

/** A submission with an id is idempotent: repeated, it creates no second task. */
const withId = (task: TaskSubmission): TaskSubmission => ({ ...task, id: task.id ?? crypto.randomUUID() });
