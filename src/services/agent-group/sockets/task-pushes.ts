/**
 * Pushes the tasks of an agent on one connection. When something has changed, the list of tasks that wait to be started is
 * read from the coordinator, and those that were not pushed yet are pushed, no more at a time than the agent starts.
 *
 *   idle --changed | window half free--> reading --end of the list--> idle
 *                                          |  '--changed meanwhile--> reading
 *                                          '--window full--> idle, backpressured (reads again after a while)
 */
import type { Task } from "../../../contract/task.ts";
import { backoffMs } from "../../../domain/backoff.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { PushContext, Recipient } from "./push-recipient.ts";
import { SendWindow } from "./send-window.ts";
import type { UnstartedTaskReader } from "./unstarted-task-reader.ts";

/** Tasks read in a row at most: as many as an agent may hold. */
const TASKS_LIMIT = 10_000;

/** Tries to read the agent's tasks; after that the coordinator's next wake-up starts anew. */
const READ_TRIES = 5;
const READ_RETRY = { firstMs: 500, factor: 2, longestMs: 8000 };

/** While backpressured, the list is read again after this time: the agent may also start tasks by a call. */
const REREAD_MS = 5000;

export class TaskPushes {
  readonly #context: PushContext;
  readonly #recipient: Recipient;
  readonly #reader: UnstartedTaskReader;
  /** Attempts that were pushed and may still be listed. */
  readonly #pushed = new Set<string>();
  /** Pushed attempts that are still to be started. */
  readonly #window = new SendWindow();
  #reading: "idle" | "under way" | "again" = "idle";
  #tries = 0;
  /** Attempts taken from the agent while a list was being read that may still name them. */
  readonly #revokedMeanwhile = new Set<string>();
  #isBackpressured = false;

  constructor(context: PushContext, recipient: Recipient, reader: UnstartedTaskReader) {
    this.#context = context;
    this.#recipient = recipient;
    this.#reader = reader;
  }

  /** Whether tasks wait until others are started. */
  get isBackpressured(): boolean {
    return this.#isBackpressured;
  }

  /** Attempts were taken from the agent. */
  revoke(revoked: readonly Revocation[]): void {
    for (const { taskId, attempt, reason } of revoked) {
      const key = keyOf(taskId, attempt);
      this.#pushed.delete(key);
      this.#window.remove(key);
      if (this.#reading !== "idle") this.#revokedMeanwhile.add(key);
      this.#context.frames.push(this.#recipient.connection, {
        type: "task_revoked",
        task_id: taskId,
        attempt,
        reason,
      });
    }
  }

  /** The agent reports on an attempt, over this connection. */
  attemptReported(taskId: string, attempt: number): void {
    const through = this.#window.remove(keyOf(taskId, attempt));
    if (through === null) return;
    this.#context.frames.markReadThrough(this.#recipient.connection, through);
    if (this.#isBackpressured && this.#reading === "idle" && this.#window.isHalfFree) this.pushNew();
  }

  /** The list may have changed: pushes what was not pushed yet. */
  pushNew(): void {
    if (this.#reading !== "idle") {
      this.#reading = "again";
      return;
    }
    this.#reading = "under way";
    this.#revokedMeanwhile.clear();
    this.#readPage(null, new Set(), true);
  }

  /** @param seen the attempts of the pages before @param hasRoom whether all of them were pushed */
  #readPage(cursor: string | null, seen: Set<string>, hasRoom: boolean): void {
    this.#reader.read(this.#recipient.agentId, cursor).then(
      ({ items, next_cursor }) => {
        if (!this.#isCurrent()) return;
        const isWhole = this.#push(items, seen, hasRoom);
        if (next_cursor !== null && seen.size < TASKS_LIMIT) this.#readPage(next_cursor, seen, isWhole);
        else this.#endReading(seen, isWhole);
      },
      () => this.#retryLater(),
    );
  }

  /** @returns whether all of them are pushed */
  #push(tasks: readonly Task[], seen: Set<string>, hasRoom: boolean): boolean {
    const { connection } = this.#recipient;
    let isWhole = hasRoom;
    for (const task of tasks) {
      const key = keyOf(task.id, task.attempt);
      seen.add(key);
      if (this.#pushed.has(key) || this.#revokedMeanwhile.has(key)) continue;
      // In order: nothing goes before what has to wait.
      isWhole &&= this.#window.hasRoom;
      if (!isWhole) continue;
      this.#pushed.add(key);
      this.#window.add(key, this.#context.frames.push(connection, { type: "task_assigned", task }));
    }
    return isWhole;
  }

  #endReading(seen: ReadonlySet<string>, isWhole: boolean): void {
    const isStale = this.#reading === "again";
    this.#reading = "idle";
    this.#tries = 0;
    // Started, ended or taken from the agent: not to be kept for ever.
    for (const key of this.#pushed) {
      if (seen.has(key)) continue;
      this.#pushed.delete(key);
      this.#window.remove(key);
    }
    this.#recordListRead(seen.size);
    this.#isBackpressured = !isWhole;
    this.#recipient.storeBackpressure();
    if (isStale || (!isWhole && this.#window.isHalfFree)) this.pushNew();
    else if (!isWhole) this.#rereadLater();
  }

  #rereadLater(): void {
    this.#context.host.after(REREAD_MS, () => {
      if (this.#isBackpressured && this.#reading === "idle" && this.#isCurrent()) this.pushNew();
    });
  }

  #recordListRead(unstarted: number): void {
    const { unit, sessions } = this.#context;
    const session = unit.read(() => sessions.find(this.#recipient.agentId));
    if (session === undefined) return;
    session.assignedTasks = unstarted;
    session.tasksChanged = false;
  }

  #retryLater(): void {
    this.#reading = "idle";
    this.#tries = (this.#tries + 1) % READ_TRIES;
    if (this.#tries === 0 || !this.#isCurrent()) return;
    this.#context.host.after(backoffMs(this.#tries, READ_RETRY), () => {
      if (this.#isCurrent()) this.pushNew();
    });
  }

  #isCurrent(): boolean {
    const { unit, sessions } = this.#context;
    const { agentId, connection } = this.#recipient;
    return unit.read(() => sessions.find(agentId))?.connection === connection;
  }
}

function keyOf(taskId: string, attempt: number): string {
  return `${taskId}/${attempt}`;
}
