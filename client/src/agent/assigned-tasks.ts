/** The tasks that the coordinator says an agent holds, brought to its work. */

import type { Task } from "../wire.ts";
import type { Session } from "./session.ts";
import type { TaskRunner } from "./task-runner.ts";

export class Holdings {
  readonly #session: Session;
  readonly #work: TaskRunner;

  constructor(session: Session, work: TaskRunner) {
    this.#session = session;
    this.#work = work;
  }

  /** Takes what is to be started; waits for so long if there is nothing. */
  async take(wait_seconds: number, signal: AbortSignal): Promise<void> {
    const call = { query: { wait_seconds }, signal, timeoutSeconds: wait_seconds + 10 };
    const { items } = await this.#session.call<{ items: Task[] }>("GET", `${this.#session.path}/tasks`, call);
    for (const task of items) this.#work.offer(task);
  }

  /** Asks what this agent holds: takes what it has not seen, gives up what is no longer its own. */
  async reconcile(signal: AbortSignal): Promise<void> {
    const before = this.#work.running;
    const held: Task[] = [];
    let cursor: string | null | undefined;
    do {
      const query = { status: "assigned,running", limit: 500, cursor };
      const page: { items: Task[]; next_cursor: string | null } = await this.#session.call(
        "GET",
        `${this.#session.path}/tasks`,
        { query, signal, retries: 2 },
      );
      held.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    for (const { id, attempt } of before) {
      if (!held.some((task) => task.id === id && task.attempt === attempt))
        this.#work.revoke(id, attempt, "reassigned");
    }
    for (const task of held) if (task.status === "assigned") this.#work.offer(task);
  }
}
