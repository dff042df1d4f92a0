/**
 * The tasks of an agent on one connection. What waits to be started is read from the coordinator whenever something
 * has changed, and what was not pushed yet is pushed, no more at a time than the agent starts.
 *
 *   idle --changed, relieved--> reading --the list is at its end--> idle
 *                                 |  '----- changed meanwhile -----> reading
 *                                 '-------- no room -----------> idle, held back (looks again after a while)
 */
import type { Task } from "../../../contract/task.ts";
import { backoffMs } from "../../../domain/backoff.ts";
import type { Revocation } from "../../../protocol/object-calls.ts";
import type { GroupContext } from "../group-context.ts";
import type { Recipient } from "./agent-pushes.ts";
import { SendWindow } from "./send-window.ts";
import type { UnstartedTaskReader } from "./unstarted-task-reader.ts";

/** Tasks read in a row at most: as many as an agent may hold. */
const TASKS_LIMIT = 10_000;

/** Tries to read the agent's tasks; after that the coordinator's next doorbell brings them. */
const READ_TRIES = 5;
const READ_RETRY = { firstMs: 500, factor: 2, longestMs: 8000 };

/** What is held back is looked for again after this time: tasks may also be started by a call. */
const LOOK_AGAIN_MS = 5000;

export class TaskPushes {
  readonly #context: GroupContext;
  readonly #recipient: Recipient;
  readonly #reads: UnstartedTaskReader;
  /** Attempts that were pushed and may still be listed. */
  readonly #pushed = new Set<string>();
  /** Those of them that are still to be started. */
  readonly #outstanding = new SendWindow();
  #reading: "idle" | "under way" | "again" = "idle";
  #tries = 0;
  /** Attempts taken while a list was under way that may still name them. */
  readonly #revokedMeanwhile = new Set<string>();
  #isHeldBack = false;

  constructor(context: GroupContext, recipient: Recipient, reads: UnstartedTaskReader) {
    this.#context = context;
    this.#recipient = recipient;
    this.#reads = reads;
  }

  /** Whether some wait until others are started. */
  get isHeldBack(): boolean {
    return this.#isHeldBack;
  }

  /** Some were taken from the agent. */
  revoke(revoked: readonly Revocation[]): void {
    for (const { taskId, attempt, reason } of revoked) {
      const key = keyOf(taskId, attempt);
      this.#pushed.delete(key);
      this.#outstanding.remove(key);
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
  reported(taskId: string, attempt: number): void {
    const through = this.#outstanding.remove(keyOf(taskId, attempt));
    if (through === null) return;
    this.#context.frames.readThrough(this.#recipient.connection, through);
    if (this.#isHeldBack && this.#reading === "idle" && this.#outstanding.isRelieved) this.read();
  }

  /** Its list may have changed: pushes what was not pushed yet. */
  read(): void {
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
    this.#reads.read(this.#recipient.agentId, cursor).then(
      ({ items, next_cursor }) => {
        if (!this.#isCurrent()) return;
        const isWhole = this.#push(items, seen, hasRoom);
        if (next_cursor !== null && seen.size < TASKS_LIMIT) this.#readPage(next_cursor, seen, isWhole);
        else this.#endReading(seen, isWhole);
      },
      () => this.#readLater(),
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
      isWhole &&= this.#outstanding.hasRoom;
      if (!isWhole) continue;
      this.#pushed.add(key);
      this.#outstanding.add(key, this.#context.frames.push(connection, { type: "task_assigned", task }));
    }
    return isWhole;
  }

  #endReading(seen: ReadonlySet<string>, isWhole: boolean): void {
    const isStale = this.#reading === "again";
    this.#reading = "idle";
    this.#tries = 0;
    // Started, done or gone: not to be remembered for ever.
    for (const key of this.#pushed) {
      if (seen.has(key)) continue;
      this.#pushed.delete(key);
      this.#outstanding.remove(key);
    }
    this.#noteRead(seen.size);
    this.#isHeldBack = !isWhole;
    this.#recipient.settle();
    if (isStale || (!isWhole && this.#outstanding.isRelieved)) this.read();
    else if (!isWhole) this.#lookAgainLater();
  }

  #lookAgainLater(): void {
    this.#context.host.after(LOOK_AGAIN_MS, () => {
      if (this.#isHeldBack && this.#reading === "idle" && this.#isCurrent()) this.read();
    });
  }

  #noteRead(unstarted: number): void {
    const { unit, sessions } = this.#context;
    const session = unit.read(() => sessions.find(this.#recipient.agentId));
    if (session === undefined) return;
    session.assignedTasks = unstarted;
    session.tasksChanged = false;
  }

  #readLater(): void {
    this.#reading = "idle";
    this.#tries = (this.#tries + 1) % READ_TRIES;
    if (this.#tries === 0 || !this.#isCurrent()) return;
    this.#context.host.after(backoffMs(this.#tries, READ_RETRY), () => {
      if (this.#isCurrent()) this.read();
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
