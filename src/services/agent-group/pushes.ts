/**
 * What an agent is told over its socket without asking: tasks given to it and taken from it, its messages, its
 * drain. Whatever waits is pushed at once when it connects. What was pushed on a connection is in memory alone:
 * after an eviction something may be pushed twice, and nothing is forgotten.
 */
import type { Task } from "../../contract/task.ts";
import { backoffMs } from "../../domain/backoff.ts";
import type { Revocation } from "../host.ts";
import { instantOrNull } from "../instant.ts";
import type { Ledger } from "./ledger.ts";
import { messageView } from "./message-view.ts";
import type { Session } from "./sessions.ts";
import { TaskReads } from "./task-reads.ts";

/** Messages pushed in one event, so that requests pass in between. */
const MESSAGES_PER_EVENT = 50;

/** Tasks read in a row at most: as many as an agent may hold. */
const TASKS_LIMIT = 10_000;

/** Tries to read the agent's tasks; after that the coordinator's next doorbell brings them. */
const READ_TRIES = 5;
const READ_RETRY = { firstMs: 500, factor: 2, longestMs: 8000 };

/** What was pushed on one connection. */
type Delivery = {
  agentId: string;
  connection: number;
  /** Attempts that were pushed and are still to be started. */
  tasks: Set<string>;
  reading: "idle" | "under way" | "again";
  tries: number;
  /** Attempts taken while a list was under way that may still name them. */
  revokedMeanwhile: Set<string>;
  /** The number of the last message; null if an earlier instance pushed some. */
  messagesThrough: number | null;
  isPushingMessages: boolean;
  /** What is held back until the agent has read more. */
  heldBack: { tasks: boolean; messages: boolean };
};

export class Pushes {
  readonly #ledger: Ledger;
  readonly #reads: TaskReads;
  readonly #byConnection = new Map<number, Delivery>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#reads = new TaskReads(ledger.host);
  }

  /** The agent has just connected: everything that waits for it. */
  begin(agentId: string): void {
    const delivery = this.#deliveryTo(agentId);
    if (delivery === null) return;
    delivery.messagesThrough = 0;
    if (this.#session(agentId)?.drainMode != null) this.drain(agentId);
    this.#pushMessages(delivery);
    this.#readTasks(delivery);
  }

  /** Its task list changed. */
  tasks(agentId: string, revoked: readonly Revocation[]): void {
    const delivery = this.#deliveryTo(agentId);
    if (delivery === null) return;
    for (const { taskId, attempt, reason } of revoked) {
      const key = keyOf(taskId, attempt);
      delivery.tasks.delete(key);
      if (delivery.reading !== "idle") delivery.revokedMeanwhile.add(key);
      this.#ledger.answers.push(delivery.connection, {
        type: "task_revoked",
        task_id: taskId,
        attempt,
        reason,
      });
    }
    this.#readTasks(delivery);
  }

  /** A message came into its box. */
  message(agentId: string, number: number): void {
    const delivery = this.#deliveryTo(agentId);
    if (delivery === null) return;
    delivery.messagesThrough ??= number - 1;
    if (!delivery.isPushingMessages) this.#pushMessages(delivery);
  }

  /** Whether it drains changed. */
  drain(agentId: string): void {
    const session = this.#session(agentId);
    if (session === undefined || session.connection === null) return;
    this.#ledger.answers.push(session.connection, {
      type: "drain",
      mode: session.drainMode,
      deadline_at: instantOrNull(session.drainDeadlineMs),
    });
  }

  /** The agent has read more: what was held back follows. */
  resume(connection: number): void {
    const delivery = this.#byConnection.get(connection);
    if (delivery === undefined) return;
    const { tasks, messages } = delivery.heldBack;
    delivery.heldBack = { tasks: false, messages: false };
    if (messages && !delivery.isPushingMessages) this.#pushMessages(delivery);
    if (tasks) this.#readTasks(delivery);
  }

  forget(connection: number): void {
    this.#byConnection.delete(connection);
  }

  #session(agentId: string): Session | undefined {
    return this.#ledger.unit.read(() => this.#ledger.sessions.find(agentId));
  }

  /** On its present connection, if it has one. */
  #deliveryTo(agentId: string): Delivery | null {
    const connection = this.#session(agentId)?.connection ?? null;
    if (connection === null) return null;
    let delivery = this.#byConnection.get(connection);
    if (delivery === undefined) {
      delivery = {
        agentId,
        connection,
        tasks: new Set(),
        reading: "idle",
        tries: 0,
        revokedMeanwhile: new Set(),
        messagesThrough: null,
        isPushingMessages: false,
        heldBack: { tasks: false, messages: false },
      };
      this.#byConnection.set(connection, delivery);
    }
    return delivery;
  }

  #isCurrent({ agentId, connection }: Delivery): boolean {
    return this.#session(agentId)?.connection === connection;
  }

  #pushMessages(delivery: Delivery): void {
    delivery.isPushingMessages = false;
    const session = this.#session(delivery.agentId);
    if (session?.connection !== delivery.connection) return;
    const { messages, unit, answers, host } = this.#ledger;
    const { items, hasMore } = unit.read(() =>
      messages.page(session, delivery.messagesThrough ?? 0, MESSAGES_PER_EVENT),
    );
    for (const item of items) {
      if (!answers.hasRoomFor(delivery.connection, "message")) {
        delivery.heldBack.messages = true;
        return;
      }
      answers.push(delivery.connection, { type: "message", message: messageView(item) });
      delivery.messagesThrough = item.number;
    }
    if (!hasMore) return;
    delivery.isPushingMessages = true;
    host.defer(() => this.#pushMessages(delivery));
  }

  #readTasks(delivery: Delivery): void {
    if (delivery.reading !== "idle") {
      delivery.reading = "again";
      return;
    }
    delivery.reading = "under way";
    delivery.revokedMeanwhile.clear();
    this.#readPage(delivery, null, new Set());
  }

  /** @param seen the attempts of the pages before */
  #readPage(delivery: Delivery, cursor: string | null, seen: Set<string>): void {
    this.#reads.read(delivery.agentId, cursor).then(
      ({ items, next_cursor }) => {
        if (!this.#isCurrent(delivery)) return;
        if (!this.#pushTasks(delivery, items, seen)) this.#holdBackTasks(delivery);
        else if (next_cursor !== null && seen.size < TASKS_LIMIT) this.#readPage(delivery, next_cursor, seen);
        else this.#endReading(delivery, seen);
      },
      () => this.#readTasksLater(delivery),
    );
  }

  /** @returns whether there was room for all of them */
  #pushTasks(delivery: Delivery, tasks: readonly Task[], seen: Set<string>): boolean {
    const { answers } = this.#ledger;
    for (const task of tasks) {
      const key = keyOf(task.id, task.attempt);
      seen.add(key);
      if (delivery.tasks.has(key) || delivery.revokedMeanwhile.has(key)) continue;
      if (!answers.hasRoomFor(delivery.connection, "task")) return false;
      delivery.tasks.add(key);
      answers.push(delivery.connection, { type: "task_assigned", task });
    }
    return true;
  }

  /** The list is read anew when there is room: by then it may be another. */
  #holdBackTasks(delivery: Delivery): void {
    delivery.reading = "idle";
    delivery.heldBack.tasks = true;
  }

  #endReading(delivery: Delivery, seen: ReadonlySet<string>): void {
    const isStale = delivery.reading === "again";
    delivery.reading = "idle";
    delivery.tries = 0;
    // Started, done or gone: not to be remembered for ever.
    for (const key of delivery.tasks) if (!seen.has(key)) delivery.tasks.delete(key);
    const session = this.#session(delivery.agentId);
    if (session !== undefined) {
      session.assignedTasks = delivery.tasks.size;
      session.tasksChanged = false;
    }
    if (isStale) this.#readTasks(delivery);
  }

  #readTasksLater(delivery: Delivery): void {
    delivery.reading = "idle";
    delivery.tries = (delivery.tries + 1) % READ_TRIES;
    if (delivery.tries === 0 || !this.#isCurrent(delivery)) return;
    this.#ledger.host.after(backoffMs(delivery.tries, READ_RETRY), () => {
      if (this.#isCurrent(delivery)) this.#readTasks(delivery);
    });
  }
}

function keyOf(taskId: string, attempt: number): string {
  return `${taskId}/${attempt}`;
}
