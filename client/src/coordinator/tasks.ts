/** Tasks as their producers and operators see them. */
import { errorOf, type FailoverError } from "../errors.ts";
import type { Call, CallOptions, Http } from "../http.ts";
import type { Decision, LateResult, Task, TaskFilter, TaskSubmission } from "../wire.ts";
import { type Listing, listing, type PageOptions } from "./listing.ts";

/** Where a task is, and why; `decision` is null if none was needed. */
export type Placement = { task: Task; decision: Decision | null };

/** What became of one task of many. */
export type Submitted =
  | (Placement & { error?: never })
  | { error: FailoverError; task?: never; decision?: never };

export type WaitOptions = CallOptions & {
  /** How long to wait for the end. Default 600. */
  waitSeconds?: number | undefined;
};

/** Tasks in one batch of the coordinator. */
const BATCH = 1000;

/** Longest wait in one call. */
const WAIT_LIMIT_SECONDS = 30;

/**
 * Whether it has ended: completed, failed or cancelled.
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
   * Submits a task. Without an `id` it gets one here, at random, so that repeating the call is safe.
   * @throws {TaskExistsError} if another task has that id
   * @example
   * const { task, decision } = await coordinator.tasks.submit({ type: "task_type1", priority: 8, data: { input: 1 } });
   * console.log(task.status, task.assigned_to, decision?.explanation);
   */
  submit(task: TaskSubmission, options?: CallOptions): Promise<Placement> {
    return this.#http.call("POST", "/tasks", { ...options, body: withId(task), isRepeatable: true });
  }

  /**
   * Submits any number of tasks, a thousand a call. One that is refused does not hold up the others.
   * @returns what became of each, in order
   * @example
   * const results = await coordinator.tasks.submitAll([{ type: "task_type1" }, { type: "task_type3" }]);
   * for (const { task, error } of results) console.log(task?.id ?? error?.detail);
   */
  async submitAll(tasks: readonly TaskSubmission[], options?: CallOptions): Promise<Submitted[]> {
    const all: Submitted[] = [];
    for (let from = 0; from < tasks.length; from += BATCH) {
      const body = { tasks: tasks.slice(from, from + BATCH).map(withId) };
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
   * One task as it stands.
   * @throws {NotFoundError}
   * @example
   * const { status, assigned_to, progress } = await coordinator.tasks.get("task1");
   * console.log(status, assigned_to, progress);
   */
  get(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("GET", id, "", options);
  }

  /**
   * Waits until the task has ended.
   * @returns the task; unfinished if `waitSeconds` (default 600) were over first
   * @example
   * await coordinator.tasks.submit({ id: "report-7", type: "task_type1" });
   * const task = await coordinator.tasks.wait("report-7", { waitSeconds: 1 });
   * console.log(task.status, task.result);
   */
  async wait(id: string, { waitSeconds = 600, ...options }: WaitOptions = {}): Promise<Task> {
    const untilMs = performance.now() + waitSeconds * 1000;
    for (;;) {
      const leftSeconds = Math.max(0, (untilMs - performance.now()) / 1000);
      const wait_seconds = Math.min(leftSeconds, WAIT_LIMIT_SECONDS);
      const timeoutSeconds = wait_seconds + (options.timeoutSeconds ?? 10);
      const task = await this.#task("GET", id, "", { ...options, query: { wait_seconds }, timeoutSeconds });
      if (isFinished(task) || performance.now() >= untilMs) return task;
    }
  }

  /**
   * Newest first.
   * @example
   * for await (const task of coordinator.tasks.list({ status: "pending" })) console.log(task.pending_reason);
   */
  list({ cursor, ...filter }: TaskFilter & PageOptions = {}, options?: CallOptions): Listing<Task> {
    const read = (from?: string) => ({ ...options, query: { ...filter, cursor: from } });
    return listing((from) => this.#http.call("GET", "/tasks", read(from)), cursor);
  }

  /**
   * Every placement decision of a task, oldest first, each with its reason in words and numbers.
   * @throws {NotFoundError}
   * @example
   * for await (const decision of coordinator.tasks.decisions("task1")) console.log(decision.explanation);
   */
  decisions(id: string, { cursor, limit }: PageOptions = {}, options?: CallOptions): Listing<Decision> {
    const path = `${pathOf(id)}/decisions`;
    const read = (from?: string) => ({ ...options, query: { limit, cursor: from } });
    return listing((from) => this.#http.call("GET", path, read(from)), cursor);
  }

  /**
   * Cancels an unfinished task; whoever works on it is told.
   * @throws {InvalidTransitionError} it has ended
   * @example
   * await coordinator.tasks.cancel("task1");
   */
  cancel(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("POST", id, "/cancel", options);
  }

  /**
   * Puts a failed task back in line; its counts start anew.
   * @throws {InvalidTransitionError} it has not failed
   * @example
   * for await (const { id } of coordinator.tasks.list({ status: "failed" })) await coordinator.tasks.retry(id);
   */
  retry(id: string, options?: CallOptions): Promise<Task> {
    return this.#task("POST", id, "/retry", options);
  }

  /**
   * Names the agents to fail over to, in order; 16 at most.
   * @throws {InvalidTransitionError} it has ended
   * @example
   * await coordinator.tasks.setBackups("task1", ["agent2", "agent3"]);
   */
  setBackups(id: string, backups: readonly string[], options?: CallOptions): Promise<Task> {
    return this.#task("PUT", id, "/backups", { ...options, body: { backups } });
  }

  /**
   * Results that came from attempts no longer current, kept for somebody to look at.
   * @throws {NotFoundError}
   * @example
   * for await (const late of coordinator.tasks.lateResults("task1")) console.log(late.attempt, late.result);
   */
  lateResults(id: string, { cursor, limit }: PageOptions = {}, options?: CallOptions): Listing<LateResult> {
    const path = `${pathOf(id)}/late-results`;
    const read = (from?: string) => ({ ...options, query: { limit, cursor: from } });
    return listing((from) => this.#http.call("GET", path, read(from)), cursor);
  }

  /**
   * Completes the task with a late result; its current attempt is revoked.
   * @throws {NotFoundError} no such result is kept
   * @example
   * const { items } = await coordinator.tasks.lateResults("task1");
   * if (items[0] !== undefined) await coordinator.tasks.acceptLateResult("task1", items[0].attempt);
   */
  acceptLateResult(id: string, attempt: number, options?: CallOptions): Promise<Task> {
    return this.#task("POST", id, `/late-results/${attempt}/accept`, options);
  }

  async #task(method: string, id: string, rest: string, call?: Call): Promise<Task> {
    return (await this.#http.call<{ task: Task }>(method, pathOf(id) + rest, call)).task;
  }
}

const pathOf = (id: string) => `/tasks/${encodeURIComponent(id)}`;

/** With an id of its own a task may be submitted twice and is there once. */
const withId = (task: TaskSubmission): TaskSubmission => ({ ...task, id: task.id ?? crypto.randomUUID() });
