/** The pending tasks of one type, most urgent first. They are read page by page, as far as there are free slots. */
import type { PendingQueueStore, PendingTask } from "../../../storage/coordinator/tasks/pending-queue.ts";
import type { QueuePosition } from "../../../storage/coordinator/tasks/task-table.ts";

/** Tasks read at a time. */
const PAGE = 10;

export class PendingQueue {
  readonly #store: Pick<PendingQueueStore, "page">;
  readonly #type: string;
  #page: PendingTask[] = [];
  #last: QueuePosition | null = null;
  #isAtEnd = false;

  constructor(store: Pick<PendingQueueStore, "page">, type: string) {
    this.#store = store;
    this.#type = type;
  }

  /** The urgency of the first task, lower is more urgent; null if the queue is empty. */
  headUrgency(nowMs: number): number | null {
    if (this.#page.length === 0 && !this.#isAtEnd) {
      this.#page = this.#store.page(this.#type, this.#last, { nowMs, limit: PAGE });
      this.#isAtEnd = this.#page.length < PAGE;
      this.#last = this.#page.at(-1) ?? this.#last;
    }
    return this.#page[0]?.urgency ?? null;
  }

  /** Removes the first task from this reader. The task itself does not change. */
  take(): PendingTask | undefined {
    return this.#page.shift();
  }
}

/** The queue whose first task is the most urgent; null if all are empty. */
export function mostUrgent(queues: readonly PendingQueue[], nowMs: number): PendingQueue | null {
  let best: { queue: PendingQueue; urgency: number } | null = null;
  for (const queue of queues) {
    const urgency = queue.headUrgency(nowMs);
    if (urgency !== null && (best === null || urgency < best.urgency)) best = { queue, urgency };
  }
  return best?.queue ?? null;
}
