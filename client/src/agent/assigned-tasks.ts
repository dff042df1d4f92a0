/** Reads the tasks that the coordinator has assigned to an agent, and aligns the task runner with them. */
import type { Task } from "../wire.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export class AssignedTasks {
  readonly #session: Session;
  readonly #taskRunner: TaskRunner;

  constructor(session: Session, taskRunner: TaskRunner) {
    this.#session = session;
    this.#taskRunner = taskRunner;
  }

  /** Offers the tasks that are to be started; waits up to `waitSeconds` for the first. */
  async poll(waitSeconds: number, signal: AbortSignal): Promise<void> {
    const call = { query: { wait_seconds: waitSeconds }, signal, timeoutSeconds: waitSeconds + 10 };
    const { items } = await this.#session.call<{ items: Task[] }>("GET", `${this.#session.path}/tasks`, call);
    for (const task of items) this.#taskRunner.offer(task);
  }

  /** Reads all assigned tasks: offers those not started, revokes running ones that are no longer assigned. */
  async reconcile(signal: AbortSignal): Promise<void> {
    // Read first: a task that starts during the calls below may be missing from the answers.
    const running = this.#taskRunner.running;
    const assigned: Task[] = [];
    let cursor: string | null | undefined;
    do {
      const query = { status: "assigned,running", limit: 500, cursor };
      const page: { items: Task[]; next_cursor: string | null } = await this.#session.call(
        "GET",
        `${this.#session.path}/tasks`,
        { query, signal, retries: 2 },
      );
      assigned.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    for (const { id, attempt } of running) {
      if (!assigned.some((task) => task.id === id && task.attempt === attempt))
        this.#taskRunner.revoke(id, attempt, "reassigned");
    }
    for (const task of assigned) if (task.status === "assigned") this.#taskRunner.offer(task);
  }
}
